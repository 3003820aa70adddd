import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import {
  certificateProblem,
  noExtras,
  pemBlocks,
  type TrustExtras,
  type WorkloadCertificate,
} from '../ca/client.ts';
import { writeFileAtomic } from '../kit/atomic-file.ts';
import { messageOf } from '../kit/coded-error.ts';

export interface HeldCertificate extends WorkloadCertificate {
  /** When it was obtained, ms since the epoch; certificates begin a little before that, for clocks that are behind. */
  obtainedAt: number;
}

export interface IdentityFiles {
  /** Key and chain in one file, so that they can never be of different certificates. Mode 0600. */
  identity: string;
  root: string;
}

/** What an earlier agent left, when it still serves; otherwise why not. */
export async function loadIdentity(
  files: IdentityFiles,
  identity: string,
  now: number,
): Promise<HeldCertificate | { problem: string } | undefined> {
  let text: string;
  let root: string;
  let obtainedAt: number;
  try {
    text = await readFile(files.identity, 'utf8');
    root = await readFile(files.root, 'utf8');
    obtainedAt = (await stat(files.identity)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { problem: messageOf(error) };
  }
  const [key] = pemBlocks(text, 'PRIVATE KEY');
  const chain = pemBlocks(text);
  const [leaf] = chain;
  if (!key || !leaf) return { problem: `${files.identity} holds no key with a certificate` };
  try {
    const certificate = new X509Certificate(leaf);
    const problem = certificateProblem(certificate, key, identity);
    if (problem) return { problem };
    if (certificate.validToDate.getTime() <= now)
      return { problem: `the certificate ended on ${certificate.validToDate.toISOString()}` };
    return {
      key,
      certificateChain: chain.join(''),
      root,
      notBefore: certificate.validFromDate,
      notAfter: certificate.validToDate,
      obtainedAt,
    };
  } catch {
    return { problem: `${files.identity} cannot be read as a certificate` };
  }
}

export async function saveIdentity(files: IdentityFiles, certificate: WorkloadCertificate): Promise<void> {
  await writeFileAtomic(files.root, certificate.root, 0o600);
  await writeFileAtomic(files.identity, certificate.key + certificate.certificateChain, 0o600);
}

/** What an earlier agent knew of other trust domains and revoked certificates; nothing, where its file cannot be read. */
export async function loadExtras(path: string): Promise<TrustExtras> {
  try {
    const { crl, domains } = JSON.parse(await readFile(path, 'utf8')) as TrustExtras;
    return typeof crl === 'string' && Array.isArray(domains) ? { crl, domains } : noExtras;
  } catch {
    return noExtras;
  }
}

export async function saveExtras(path: string, extras: TrustExtras): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(extras), 0o600);
}
