import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../../gen/proto/istio/security/v1alpha1/ca_pb.js';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { grpcStatus, type UnaryResult } from '../kit/grpc-http2.ts';
import { type Authenticator, authenticatePeer, type Caller } from './authenticate.ts';
import type { CertificateAuthority } from './authority.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import type { Peer } from './peer.ts';
import { pemBlocks } from './pem.ts';
import { type BucketOptions, createRateLimiter } from './rate-limit.ts';
import { formatSpiffeId, isWorkloadIdentity, type WorkloadIdentity } from './spiffe.ts';

/** Path of the one method, as HTTP/2's `:path`. */
export const CREATE_CERTIFICATE_PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** Requests above this are refused before they are read whole. */
export const MAX_CERTIFICATE_REQUEST_BYTES = 32_768;

const MAX_TTL_SECONDS = 10 * 365 * 86_400;

export interface CertificateServiceLimits {
  /** Certificates for one identity. Default a burst of 600, then 10 a second: a thousand replicas restart within a minute. */
  perIdentity?: BucketOptions;
  /** Certificates in all. Default a burst of 1,000, then 150 a second: a third of what one core signs. */
  total?: BucketOptions;
  /** Refused credentials in all, after which they are answered without being looked at. Default a burst of 500, then 50 a second. */
  refused?: BucketOptions;
  /** Requests in work at one time. Default 64. */
  concurrent?: number;
}

export interface CertificateServiceOptions {
  authority: CertificateAuthority;
  /** Tried in order. */
  authenticators: readonly Authenticator[];
  /** A last word: a reason to refuse an identity that proved itself, as a service account that is gone. */
  authorize?: (identity: WorkloadIdentity) => string | undefined;
  limits?: CertificateServiceLimits;
  /** Told of every certificate, with the serial number of the one that it was renewed with. */
  issued?: (
    certificate: { serialNumber: string; identity: string; notAfter: Date },
    replaces: string | undefined,
  ) => void;
  /** Told of every certificate and every refusal. Tokens, keys and requests are not in it. */
  audit?: (event: CertificateEvent) => void;
  clock?: Clock;
}

export interface CertificateEvent {
  outcome: 'issued' | 'refused' | 'failed';
  peer: string;
  /** SPIFFE id, once known. */
  identity?: string;
  credential?: Caller['credential'];
  serialNumber?: string;
  notAfter?: Date;
  reason?: string;
}

export interface CertificateService {
  readonly path: string;
  readonly maxRequestBytes: number;
  /** Takes and returns the bytes of the protobuf messages. Never rejects. */
  handle(request: Uint8Array, peer: Peer): Promise<UnaryResult>;
}

export function createCertificateService(options: CertificateServiceOptions): CertificateService {
  const { authority, authenticators, limits = {}, audit = () => {} } = options;
  const clock = options.clock ?? systemClock;
  const perIdentity = createRateLimiter({ burst: 600, perSecond: 10, ...limits.perIdentity, clock });
  const total = createRateLimiter({ burst: 1_000, perSecond: 150, ...limits.total, clock });
  const refusals = createRateLimiter({ burst: 500, perSecond: 50, ...limits.refused, clock });
  const maxConcurrent = limits.concurrent ?? 64;
  let working = 0;

  async function work(request: Uint8Array, peer: Peer): Promise<UnaryResult> {
    const event: CertificateEvent = { outcome: 'refused', peer: peer.address };
    const refuse = (status: number, told: string, reason = told): UnaryResult => {
      audit({ ...event, reason });
      return { ok: false, grpcStatus: status, message: told };
    };
    const authentication = await authenticatePeer(authenticators, peer);
    if (!authentication.ok) {
      // Only refusals spend this budget, so a stranger's guessing cannot lock out those who hold good credentials.
      if (!refusals.take('')) return tooMany('too many refused credentials; try again later');
      return refuse(grpcStatus.unauthenticated, 'the credential was not accepted', authentication.reason);
    }
    const { caller } = authentication;
    const identity = formatSpiffeId(caller.identity);
    event.identity = identity;
    event.credential = caller.credential;
    if (!isWorkloadIdentity(caller.identity))
      return refuse(grpcStatus.permissionDenied, 'the credential names no valid identity');
    const denied = options.authorize?.(caller.identity);
    if (denied) return refuse(grpcStatus.permissionDenied, `${identity} gets no certificate: ${denied}`);
    if (!perIdentity.take(identity) || !total.take(''))
      return refuse(grpcStatus.resourceExhausted, 'too many certificates were asked for; try again later');

    const wanted = await parseRequest(request);
    if (!wanted.ok) return refuse(wanted.status, wanted.error);
    if (caller.redeem && !caller.redeem())
      return refuse(
        grpcStatus.unauthenticated,
        'the credential was not accepted',
        'the join token was used already',
      );
    const issued = await authority.issue({
      publicKey: wanted.publicKey,
      uris: [identity],
      ttlMs: wanted.ttlMs,
    });
    const { serialNumber, notAfter } = issued;
    options.issued?.({ serialNumber, identity, notAfter }, peer.certificate?.serialNumber);
    audit({ ...event, outcome: 'issued', serialNumber, notAfter });
    // Istio's order: the certificate, its issuers, and the root as the last.
    const certChain = [issued.certificate, ...pemBlocks(issued.intermediates), issued.root];
    const response = create(IstioCertificateResponseSchema, { certChain });
    return { ok: true, response: toBinary(IstioCertificateResponseSchema, response) };
  }

  return {
    path: CREATE_CERTIFICATE_PATH,
    maxRequestBytes: MAX_CERTIFICATE_REQUEST_BYTES,
    async handle(request, peer) {
      if (working >= maxConcurrent) return tooMany('the certificate authority is busy; try again');
      working++;
      try {
        return await work(request, peer);
      } catch (error) {
        audit({ outcome: 'failed', peer: peer.address, reason: messageOf(error) });
        const message = error instanceof CodedError ? error.message : 'internal error';
        return { ok: false, grpcStatus: grpcStatus.unavailable, message };
      } finally {
        working--;
      }
    },
  };
}

function tooMany(message: string): UnaryResult {
  return { ok: false, grpcStatus: grpcStatus.resourceExhausted, message };
}

type ParsedRequest =
  | { ok: true; publicKey: Buffer; ttlMs: number }
  | { ok: false; status: number; error: string };

async function parseRequest(bytes: Uint8Array): Promise<ParsedRequest> {
  let request: { csr: string; validityDuration: bigint; metadata?: Record<string, unknown> | undefined };
  try {
    request = fromBinary(IstioCertificateRequestSchema, bytes);
  } catch {
    return { ok: false, status: grpcStatus.invalidArgument, error: 'not an IstioCertificateRequest message' };
  }
  // ztunnel's way of asking for others' certificates: nobody is trusted with it here.
  if (request.metadata && 'ImpersonatedIdentity' in request.metadata)
    return { ok: false, status: grpcStatus.permissionDenied, error: 'nobody may ask for another identity' };
  const parsed = await parseCertificateRequest(request.csr);
  if (!parsed.ok) return { ok: false, status: grpcStatus.invalidArgument, error: parsed.error };
  const seconds = Number(request.validityDuration);
  const ttlMs = seconds > 0 ? Math.min(seconds, MAX_TTL_SECONDS) * 1000 : 0;
  return { ok: true, publicKey: parsed.publicKey, ttlMs };
}
