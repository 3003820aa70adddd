import { createPublicKey, X509Certificate } from 'node:crypto';
import { type Clock, systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import type { CertificateAuthority, CertificateTemplate } from './authority.ts';
import { createKey } from './certificate-signing-request.ts';
import { pemBlocks } from './pem.ts';

export interface ServerCertificate {
  /** PEM PKCS #8. Secret. */
  key: string;
  /** PEM: the certificate, then its intermediates. */
  certificateChain: string;
  notBefore: Date;
  notAfter: Date;
}

/** A certificate with a new key, for a server or client of our own process. */
export async function issueWithNewKey(
  authority: CertificateAuthority,
  names: Omit<CertificateTemplate, 'publicKey'>,
): Promise<ServerCertificate> {
  const key = await createKey();
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const issued = await authority.issue({ publicKey, ...names });
  return {
    key,
    certificateChain: issued.certificate + issued.intermediates,
    notBefore: issued.notBefore,
    notAfter: issued.notAfter,
  };
}

/**
 * A chain with the root that it ends in, if that is among `roots` (PEM). OpenSSL sends the root as well where it is given one certificate
 * alone, but looks for it, and verifies it, in each handshake anew.
 */
export function withRoot(certificateChain: string, roots: string): string {
  const last = new X509Certificate(pemBlocks(certificateChain).at(-1) ?? '');
  const root = pemBlocks(roots).find((pem) => {
    const candidate = new X509Certificate(pem);
    return last.checkIssued(candidate) && last.verify(candidate.publicKey);
  });
  return root === undefined || last.checkIssued(last) ? certificateChain : certificateChain + root;
}

/**
 * Issues again after `dueMs` (default: at half life), then always at half life, and hands the result to `use` (as `server.setSecureContext`). A failure is told to `warn` and tried
 * again after a minute. Returns the way to stop.
 */
export function keepServerCertificate(options: {
  authority: CertificateAuthority;
  names: Omit<CertificateTemplate, 'publicKey'>;
  current: ServerCertificate;
  use: (certificate: ServerCertificate) => void;
  dueMs?: number;
  warn?: (message: string) => void;
  clock?: Clock;
}): () => void {
  const clock = options.clock ?? systemClock;
  const stop = new AbortController();
  const wait = (ms: number) => clock.sleep(ms, { signal: stop.signal, unref: true });
  const run = async () => {
    let { notAfter } = options.current;
    let delay = options.dueMs ?? (notAfter.getTime() - clock.now()) / 2;
    for (;;) {
      await wait(delay);
      if (stop.signal.aborted) return;
      try {
        const next = await issueWithNewKey(options.authority, options.names);
        if (stop.signal.aborted) return;
        options.use(next);
        notAfter = next.notAfter;
        delay = (notAfter.getTime() - clock.now()) / 2;
      } catch (error) {
        options.warn?.(
          `the server certificate (ends ${notAfter.toISOString()}) was not renewed: ${messageOf(error)}`,
        );
        delay = 60_000;
      }
    }
  };
  void run();
  return () => stop.abort();
}
