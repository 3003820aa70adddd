import { createPrivateKey, X509Certificate } from 'node:crypto';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { callUnary, GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { openSession, type SessionOptions } from '../kit/grpc-session.ts';
import { createKey, createSigningRequest, type KeyType } from './certificate-signing-request.ts';
import { bundleHash, pemBlocks } from './pem.ts';
import { extrasHash, type TrustExtras } from './trust-extras.ts';
import {
  decodeTrustResponse,
  encodeTrustRequest,
  TRUST_SYNC_PATH,
  type TrustResponse,
} from './trust-messages.ts';

/* All that the agent sees of the authority: protobuf is read and written by hand, as it has two messages of two fields. */

export { isOfType, type KeyType, keyTypes } from './certificate-signing-request.ts';
export { pemBlocks } from './pem.ts';
export { formatSpiffeId } from './spiffe.ts';
export { noExtras, type TrustExtras } from './trust-extras.ts';

const PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const MAX_RESPONSE = 256 * 1024;
/** Roots, other domains' roots and lists of revoked certificates. */
const MAX_TRUST = 2 << 20;

export interface CertificateClientOptions {
  /** `host:port` of the control plane. */
  address: string;
  /** PEM: only a server whose certificate comes from these is talked to. */
  root: string;
  /** Name that the server's certificate must carry. */
  serverName: string;
  /** How the caller proves who it is: a bearer token, or the certificate it holds. */
  credential: { token: string } | { key: string; certificateChain: string };
  /** SPIFFE id to ask for; the authority gives the credential's identity, and another one is refused here. */
  identity: string;
  /** Default ECDSA P-256. */
  keyType?: KeyType;
  /** Wanted lifetime in seconds. Default 0: the authority's default. */
  ttlSeconds?: number;
  /** Connection and answer. Default 30,000 ms: the authority may have to ask another one. */
  timeoutMs?: number;
}

export interface WorkloadCertificate {
  /** PEM PKCS #8. Secret. */
  key: string;
  /** PEM: certificate and intermediates, the leaf first. */
  certificateChain: string;
  /** PEM. */
  root: string;
  notBefore: Date;
  notAfter: Date;
}

/** Makes a key and asks for its certificate. Rejects with GrpcError; the key is in no message and no error. */
export async function requestCertificate(options: CertificateClientOptions): Promise<WorkloadCertificate> {
  const key = await createKey(options.keyType);
  const request = encodeRequest(createSigningRequest(key, options.identity), options.ttlSeconds ?? 0);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const session = await openSession(sessionOptions(options), timeoutMs);
  try {
    const { credential } = options;
    const headers = 'token' in credential ? { authorization: `Bearer ${credential.token}` } : {};
    const response = await callUnary(session, PATH, request, {
      headers,
      timeoutMs,
      maxResponseBytes: MAX_RESPONSE,
    });
    return checkResponse(decodeResponse(response), key, options.identity);
  } finally {
    session.destroy();
  }
}

export interface TrustClientOptions
  extends Pick<CertificateClientOptions, 'address' | 'root' | 'serverName' | 'timeoutMs'> {
  readonly credential: { readonly key: string; readonly certificateChain: string };
  /** `name.namespace`. */
  readonly instance: string;
  /** PEM: the roots that are trusted at present. */
  readonly trusted: string;
  readonly extras: TrustExtras;
}

/** Asks for news of roots and certificates. Rejects with GrpcError. */
export async function syncTrust(options: TrustClientOptions): Promise<TrustResponse> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const session = await openSession(sessionOptions(options), timeoutMs);
  try {
    const bundle = bundleHash(options.trusted);
    const request = encodeTrustRequest({
      bundle,
      instance: options.instance,
      extras: extrasHash(options.extras),
    });
    const response = decodeTrustResponse(
      await callUnary(session, TRUST_SYNC_PATH, request, { timeoutMs, maxResponseBytes: MAX_TRUST }),
    );
    if (response.bundle !== '' && pemBlocks(response.bundle).length === 0)
      throw new GrpcError(grpcStatus.internal, 'the answer holds no roots');
    return response;
  } finally {
    session.destroy();
  }
}

function sessionOptions(
  options: Pick<CertificateClientOptions, 'address' | 'root' | 'serverName' | 'credential'>,
): SessionOptions {
  const { address, root, serverName, credential } = options;
  return { address, root, serverName, ...('key' in credential ? credential : {}) };
}

/** IstioCertificateRequest: csr = 1, validity_duration = 3. */
function encodeRequest(csr: string, ttlSeconds: number): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(csr);
  if (ttlSeconds > 0) writer.tag(3, WireType.Varint).int64(BigInt(Math.floor(ttlSeconds)));
  return writer.finish();
}

/** IstioCertificateResponse: repeated cert_chain = 1. */
function decodeResponse(bytes: Uint8Array): string[] {
  const reader = new BinaryReader(bytes);
  const chain: string[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) chain.push(reader.string());
    else reader.skip(wireType, field);
  }
  return chain;
}

function checkResponse(entries: readonly string[], key: string, identity: string): WorkloadCertificate {
  const bad = (why: string) =>
    new GrpcError(grpcStatus.internal, `the authority's answer is not usable: ${why}`);
  const root = entries.at(-1);
  const chain = entries.slice(0, -1).flatMap((entry) => pemBlocks(entry));
  const [leaf] = chain;
  if (!root || !leaf || pemBlocks(root).length === 0) throw bad('no certificate and root in it');
  const certificate = new X509Certificate(leaf);
  const problem = certificateProblem(certificate, key, identity);
  if (problem) throw bad(problem);
  return {
    key,
    certificateChain: chain.join(''),
    root: pemBlocks(root).join(''),
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
  };
}

/** Why a certificate does not serve as `identity` with `key`, or undefined. Does not look at times. */
export function certificateProblem(
  certificate: X509Certificate,
  key: string,
  identity: string,
): string | undefined {
  if (!certificate.checkPrivateKey(createPrivateKey(key))) return 'the certificate is for another key';
  if (certificate.subjectAltName !== `URI:${identity}`)
    return `the certificate is for ${certificate.subjectAltName ?? 'nobody'}, expected ${identity}; the credential belongs to another identity`;
  return undefined;
}
