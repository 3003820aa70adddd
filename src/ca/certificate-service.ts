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
import { type BucketOptions, createRateLimiter, isLoopback } from './rate-limit.ts';
import { formatSpiffeId, isWorkloadIdentity, parseSpiffeId, type WorkloadIdentity } from './spiffe.ts';

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
  /** Certificates asked for from one address, loopback apart. Default a burst of 500, then 20 a second. */
  perAddress?: BucketOptions;
  /** Refused credentials in all, after which they are answered without being looked at. Default a burst of 500, then 50 a second. */
  refused?: BucketOptions;
  /** Requests in work at one time. Default 64. */
  concurrent?: number;
}

export interface CertificateServiceOptions {
  authority: CertificateAuthority;
  /** Tried in order. */
  authenticators: readonly Authenticator[];
  /** SPIFFE ids that may ask for certificates of others (ImpersonatedIdentity), of these trust domains. Default nobody. */
  registrationAuthorities?: {
    readonly identities: readonly string[];
    readonly trustDomains: readonly string[];
  };
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
  /** SPIFFE id of the registration authority that asked. */
  askedBy?: string;
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
  const perAddress = createRateLimiter({ burst: 500, perSecond: 20, ...limits.perAddress, clock });
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
    event.identity = formatSpiffeId(caller.identity);
    event.credential = caller.credential;
    if (!isWorkloadIdentity(caller.identity))
      return refuse(grpcStatus.permissionDenied, 'the credential names no valid identity');
    const registrar = options.registrationAuthorities?.identities.includes(event.identity) ?? false;
    // A registration authority asks for a whole mesh, and each of the identities has its own bound.
    const own = registrar || (perIdentity.take(event.identity) && takeAddress(peer.address));
    if (!own || !total.take('')) return refuse(grpcStatus.resourceExhausted, tooManyCertificates);

    const wanted = await parseRequest(request);
    if (!wanted.ok) return refuse(wanted.status, wanted.error);
    const subject = subjectOf(caller.identity, wanted.impersonated, registrar);
    if (typeof subject === 'string') return refuse(grpcStatus.permissionDenied, subject);
    const identity = formatSpiffeId(subject);
    if (wanted.impersonated !== undefined) event.askedBy = event.identity;
    event.identity = identity;
    const denied = options.authorize?.(subject);
    if (denied) return refuse(grpcStatus.permissionDenied, `${identity} gets no certificate: ${denied}`);
    if (registrar && !perIdentity.take(identity))
      return refuse(grpcStatus.resourceExhausted, tooManyCertificates);
    const surplus = authority.external ? wanted.asksForMore(identity) : undefined;
    if (surplus) return refuse(grpcStatus.invalidArgument, surplus);
    const giveBack = caller.redeem?.();
    if (caller.redeem && !giveBack)
      return refuse(
        grpcStatus.unauthenticated,
        'the credential was not accepted',
        'the join token was used already',
      );
    const issued = await authority
      .issue({ publicKey: wanted.publicKey, csr: wanted.csr, uris: [identity], ttlMs: wanted.ttlMs })
      .catch((error: unknown) => {
        giveBack?.();
        throw error;
      });
    const { serialNumber, notAfter } = issued;
    const replaces = registrar ? undefined : peer.certificate?.serialNumber;
    options.issued?.({ serialNumber, identity, notAfter }, replaces);
    audit({ ...event, outcome: 'issued', serialNumber, notAfter });
    // Istio's order: the certificate, its issuers, and the root as the last.
    const certChain = [issued.certificate, ...pemBlocks(issued.intermediates), issued.root];
    const response = create(IstioCertificateResponseSchema, { certChain });
    return { ok: true, response: toBinary(IstioCertificateResponseSchema, response) };
  }

  /** One machine's whole mesh comes from loopback. */
  function takeAddress(address: string): boolean {
    return isLoopback(address) || perAddress.take(address);
  }

  /** For whom the certificate is: the caller, unless it may ask for others. A text says why not. */
  function subjectOf(
    caller: WorkloadIdentity,
    impersonated: string | undefined,
    registrar: boolean,
  ): WorkloadIdentity | string {
    if (impersonated === undefined) return caller;
    if (!registrar) return 'nobody may ask for another identity';
    const subject = parseSpiffeId(impersonated);
    const { trustDomains = [] } = options.registrationAuthorities ?? {};
    return subject && trustDomains.includes(subject.trustDomain)
      ? subject
      : 'the identity that is asked for is none of this mesh';
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

const tooManyCertificates = 'too many certificates were asked for; try again later';

function tooMany(message: string): UnaryResult {
  return { ok: false, grpcStatus: grpcStatus.resourceExhausted, message };
}

type ParsedRequest =
  | {
      ok: true;
      publicKey: Buffer;
      csr: string;
      asksForMore(identity: string): string | undefined;
      ttlMs: number;
      impersonated: string | undefined;
    }
  | { ok: false; status: number; error: string };

async function parseRequest(bytes: Uint8Array): Promise<ParsedRequest> {
  let request: { csr: string; validityDuration: bigint; metadata?: Record<string, unknown> | undefined };
  try {
    request = fromBinary(IstioCertificateRequestSchema, bytes);
  } catch {
    return { ok: false, status: grpcStatus.invalidArgument, error: 'not an IstioCertificateRequest message' };
  }
  // Istio's way of asking for others' certificates.
  const impersonated = request.metadata?.ImpersonatedIdentity;
  const parsed = await parseCertificateRequest(request.csr);
  if (!parsed.ok) return { ok: false, status: grpcStatus.invalidArgument, error: parsed.error };
  const seconds = Number(request.validityDuration);
  const ttlMs = seconds > 0 ? Math.min(seconds, MAX_TTL_SECONDS) * 1000 : 0;
  const { publicKey, asksForMore } = parsed;
  return {
    ok: true,
    publicKey,
    asksForMore,
    csr: request.csr,
    ttlMs,
    impersonated: impersonated === undefined ? undefined : String(impersonated),
  };
}
