import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestApi } from './api-server.ts';
import { type OpensslAuthority, openssl } from './authority.ts';

interface Request {
  metadata: { name: string };
  spec: { request: string; signerName: string; expirationSeconds?: number };
  status?: { certificate?: string; conditions?: { type: string }[] };
}

/** A signer of a cluster: signs, with openssl, every approved CertificateSigningRequest of its name as it stands. */
export function startSigner(
  api: TestApi,
  options: { signerName: string; authority: OpensslAuthority; fail?: (name: string) => string | undefined },
): { readonly signed: string[]; stop(): void } {
  const { signerName, authority, fail } = options;
  const signed: string[] = [];
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  const file = (suffix: string, content?: string): string => {
    const at = join(api.directory, `signer${suffix}`);
    if (content !== undefined) writeFileSync(at, content);
    return at;
  };
  const sign = async (request: Request): Promise<void> => {
    const { name } = request.metadata;
    const has = (type: string) => request.status?.conditions?.some((one) => one.type === type);
    if (
      request.spec.signerName !== signerName ||
      !has('Approved') ||
      has('Failed') ||
      request.status?.certificate
    )
      return;
    signed.push(name);
    const failure = fail?.(name);
    const certificate = openssl([
      ...['x509', '-req', '-days', '1', '-copy_extensions', 'copy'],
      ...['-in', file('.csr', Buffer.from(request.spec.request, 'base64').toString())],
      ...['-CA', file('.pem', authority.certificate), '-CAkey', file('.key', authority.key)],
    ]);
    const conditions = request.status?.conditions ?? [];
    const status = failure
      ? { conditions: [...conditions, { type: 'Failed', status: 'True', reason: 'Test', message: failure }] }
      : { ...request.status, certificate: Buffer.from(certificate).toString('base64') };
    await api.call('PUT', `${path}/${name}/status`, { body: { ...request, status } });
  };
  const watch = api.watch(`${path}?watch=true`);
  let seen = 0;
  let stopped = false;
  const follow = async (): Promise<void> => {
    while (!stopped) {
      for (const { type, object } of watch.lines.slice(seen)) {
        seen++;
        if (type === 'ADDED' || type === 'MODIFIED') await sign(object as Request);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  void follow();
  return {
    signed,
    stop() {
      stopped = true;
      watch.stop();
    },
  };
}
