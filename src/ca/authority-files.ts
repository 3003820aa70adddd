import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makePrivateDirectory, writeFileAtomic } from '../kit/atomic-file.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import {
  type AuthorityOptions,
  type CertificateAuthority,
  createAuthority,
  createSelfSigned,
  type SelfSignedOptions,
} from './authority.ts';
import { type AuthorityMaterial, isExternalMaterial } from './authority-material.ts';

const FILES = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  root: 'root-cert.pem',
  chain: 'cert-chain.pem',
  crl: 'ca-crl.pem',
} as const;
const MAX_FILE = 1 << 20;

export interface OpenAuthorityOptions extends AuthorityOptions {
  /** Make a self-signed root when the directory is empty or absent. Default true; false for a directory that the user named. */
  create?: boolean;
  selfSigned?: SelfSignedOptions;
  /** Told what is odd but works: a key that others can read. */
  warn?: (message: string) => void;
}

/**
 * Opens the authority in `directory` (`ca-cert.pem`, `ca-key.pem`, `root-cert.pem`, `cert-chain.pem`; the last may be absent when
 * ca-cert.pem is the root itself). Throws `AuthorityIncomplete`, `AuthorityInvalid` or `AuthorityUnreadable`.
 */
export async function openAuthority(
  directory: string,
  options: OpenAuthorityOptions = {},
): Promise<CertificateAuthority> {
  const warn = options.warn ?? (() => {});
  let present = await presentFiles(directory);
  if (present.size === 0 && options.create !== false) {
    await writeNew(directory, await createSelfSigned(withClock(options)));
    present = await presentFiles(directory);
  }
  const missing = [FILES.certificate, FILES.key, FILES.root].filter((name) => !present.has(name));
  if (missing.length > 0)
    throw new CodedError(
      'AuthorityIncomplete',
      `${directory} lacks ${missing.join(', ')}: a certificate authority needs ca-cert.pem, ca-key.pem, root-cert.pem and (unless ca-cert.pem is the root) cert-chain.pem`,
    );
  await warnOfReadableKey(join(directory, FILES.key), warn);
  const material = await readMaterial(directory);
  try {
    return await createAuthority(material, options);
  } catch (error) {
    if (error instanceof CodedError) throw new CodedError(error.code, `${directory}: ${error.message}`);
    throw error;
  }
}

/** The files of an authority that is there, as they are; the roots alone where nothing else is. */
export async function readMaterial(directory: string): Promise<AuthorityMaterial> {
  const present = await presentFiles(directory);
  const root = await read(directory, FILES.root);
  if (present.size === 1) return { certificate: '', key: '', root, chain: '' };
  return {
    certificate: await read(directory, FILES.certificate),
    key: await read(directory, FILES.key),
    root,
    chain: present.has(FILES.chain) ? await read(directory, FILES.chain) : '',
    ...(present.has(FILES.crl) ? { crl: await read(directory, FILES.crl) } : {}),
  };
}

/**
 * Puts an authority into a directory in place of what is there. Whoever reads it meanwhile, or after a crash, finds the old one, the
 * new one, or (between two renames) none, never some files of one.
 */
export async function writeMaterial(directory: string, material: AuthorityMaterial): Promise<void> {
  const old = `${directory}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeNew(directory, material, async () => {
      await rename(directory, old).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    });
  } finally {
    await rm(old, { recursive: true, force: true });
  }
}

/** All four or none: the files are made beside and the directory is renamed into place. */
async function writeNew(
  directory: string,
  material: AuthorityMaterial,
  makeRoom: () => Promise<void> = async () => {},
): Promise<void> {
  makePrivateDirectory(dirname(directory));
  const temporary = `${directory}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(temporary, { mode: 0o700 });
    if (!isExternalMaterial(material)) {
      await writeFileAtomic(join(temporary, FILES.key), material.key, 0o600);
      await writeFileAtomic(join(temporary, FILES.certificate), material.certificate, 0o644);
      await writeFileAtomic(join(temporary, FILES.chain), material.chain, 0o644);
      if (material.crl !== undefined) await writeFileAtomic(join(temporary, FILES.crl), material.crl, 0o644);
    }
    await writeFileAtomic(join(temporary, FILES.root), material.root, 0o644);
    await makeRoom();
    await rename(temporary, directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was first: its files stand.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function presentFiles(directory: string): Promise<Set<string>> {
  try {
    const names: readonly string[] = Object.values(FILES);
    return new Set((await readdir(directory)).filter((name) => names.includes(name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw new CodedError('AuthorityUnreadable', `cannot read ${directory}: ${messageOf(error)}`);
  }
}

async function read(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE) throw new Error(`${size} bytes, more than ${MAX_FILE}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CodedError('AuthorityUnreadable', `cannot read ${path}: ${messageOf(error)}`);
  }
}

async function warnOfReadableKey(path: string, warn: (message: string) => void): Promise<void> {
  const info = await stat(path).catch(() => undefined);
  if (info && (info.mode & 0o077) !== 0)
    warn(`${path} can be read by others than its owner; mend it with: chmod 600 ${path}`);
}

function withClock(options: OpenAuthorityOptions): SelfSignedOptions {
  return options.clock ? { clock: options.clock, ...options.selfSigned } : { ...options.selfSigned };
}
