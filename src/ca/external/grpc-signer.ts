import { readFile } from 'node:fs/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../../../gen/proto/istio/security/v1alpha1/ca_pb.js';
import { callUnary, GrpcError, grpcStatus } from '../../kit/grpc-http2.ts';
import { openSession } from '../../kit/grpc-session.ts';
import { CREATE_CERTIFICATE_PATH } from '../certificate-service.ts';
import type { GrpcAuthoritySettings } from '../settings/identity-settings.ts';
import { type ExternalSigner, type SigningRequest, signerFailed, signerRefused } from './signer.ts';

const requestMs = 8_000;
const maxResponse = 256 * 1024;
const worthAnotherTry: readonly number[] = [
  grpcStatus.unavailable,
  grpcStatus.deadlineExceeded,
  grpcStatus.resourceExhausted,
  grpcStatus.aborted,
  grpcStatus.unknown,
];

/**
 * Another `istio.v1.auth.IstioCertificateService`, called with credentials of our own. For whom the certificate is stands in the
 * request and, as Istio's node proxies say it, in the metadata field ImpersonatedIdentity.
 */
export function grpcSigner(settings: GrpcAuthoritySettings): ExternalSigner {
  return {
    name: `the certificate service ${settings.address}`,
    async sign(request) {
      try {
        return await createCertificate(settings, request);
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        const text = `${settings.address}: ${error.message}`;
        throw worthAnotherTry.includes(error.status) ? signerFailed(text) : signerRefused(text);
      }
    },
  };
}

async function createCertificate(
  settings: GrpcAuthoritySettings,
  { csr, identity, ttlMs, signal }: SigningRequest,
): Promise<string> {
  const { tokenFile, certificateFile, keyFile } = settings;
  const session = await openSession(
    {
      address: settings.address,
      root: await readFile(settings.caFile ?? settings.rootFile, 'utf8'),
      ...(settings.serverName === undefined ? {} : { serverName: settings.serverName }),
      ...(certificateFile !== undefined && keyFile !== undefined
        ? { key: await readFile(keyFile, 'utf8'), certificateChain: await readFile(certificateFile, 'utf8') }
        : {}),
    },
    requestMs,
  );
  const abort = () => session.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const message = create(IstioCertificateRequestSchema, {
      csr,
      validityDuration: BigInt(Math.max(1, Math.floor(ttlMs / 1000))),
      metadata: { ImpersonatedIdentity: identity },
    });
    const token = tokenFile === undefined ? undefined : (await readFile(tokenFile, 'utf8')).trim();
    const answer = await callUnary(
      session,
      CREATE_CERTIFICATE_PATH,
      toBinary(IstioCertificateRequestSchema, message),
      {
        ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
        timeoutMs: requestMs,
        maxResponseBytes: maxResponse,
      },
    );
    return fromBinary(IstioCertificateResponseSchema, answer).certChain.join('\n');
  } finally {
    signal.removeEventListener('abort', abort);
    session.destroy();
  }
}
