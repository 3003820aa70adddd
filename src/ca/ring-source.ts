import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import type { CertificateAuthority } from './authority.ts';
import { type OpenAuthorityOptions, openAuthority, readMaterial } from './authority-files.ts';
import { type AuthorityMaterial, isExternalMaterial } from './authority-material.ts';
import type { ExternalAuthority } from './external/external-authority.ts';
import { pemBlocks } from './pem.ts';

/** Where the mesh's authority comes from, if it is not our own. */
export interface RingSource {
  readonly kind: 'plugged-in' | 'external';
  /** What `ostria ca rotate` tells to do instead. */
  readonly mend: string;
  /** What is there now, unchecked. */
  read(): Promise<AuthorityMaterial>;
  /** Throws what is wrong with it. */
  check(material: AuthorityMaterial): Promise<void>;
}

/** A directory with an authority of the user's. */
export function directorySource(directory: string, options: OpenAuthorityOptions): RingSource {
  return {
    kind: 'plugged-in',
    mend: `the authority is yours: put a new one into ${directory}, and the mesh moves to it`,
    read: () => readMaterial(directory),
    check: async () => {
      await openAuthority(directory, { ...options, create: false });
    },
  };
}

const maxRootBytes = 1 << 20;

/** The roots of an authority elsewhere. */
export function externalSource(rootFile: string, clock: Clock = systemClock): RingSource {
  return {
    kind: 'external',
    mend: `an external authority signs: put its new roots beside the old ones into ${rootFile}, and the mesh moves to them`,
    async read() {
      try {
        const { size } = await stat(rootFile);
        if (size > maxRootBytes) throw new Error(`${size} bytes, more than ${maxRootBytes}`);
        return externalMaterial(pemBlocks(await readFile(rootFile, 'utf8')).join(''));
      } catch (error) {
        throw new CodedError('AuthorityUnreadable', `cannot read ${rootFile}: ${messageOf(error)}`);
      }
    },
    async check({ root }) {
      const problem = rootsProblem(root, clock.now());
      if (problem) throw new CodedError('AuthorityInvalid', `${rootFile}: ${problem}`);
    },
  };
}

function externalMaterial(root: string): AuthorityMaterial {
  return { certificate: '', key: '', root, chain: '' };
}

/** Why PEM texts are no roots to trust; undefined: they are. */
export function rootsProblem(pem: string, now: number): string | undefined {
  const blocks = pemBlocks(pem);
  if (blocks.length === 0) return 'it holds no PEM certificate';
  for (const [index, block] of blocks.entries()) {
    const which = blocks.length > 1 ? `certificate ${index + 1}` : 'the certificate';
    try {
      const root = new X509Certificate(block);
      if (!root.ca) return `${which} is no root: its basic constraints lack CA:TRUE`;
      if (root.validToDate.getTime() <= now) return `${which} ended on ${root.validToDate.toISOString()}`;
    } catch {
      return `${which} cannot be read`;
    }
  }
  return undefined;
}

/** An authority with its files. */
export interface Held {
  readonly authority: CertificateAuthority;
  readonly material: AuthorityMaterial;
}

/** Opens what is in a directory of the state: an authority with its key, or the roots of an external one. */
export async function openHeld(
  directory: string,
  options: OpenAuthorityOptions,
  external: ExternalAuthority | undefined,
): Promise<Held> {
  const found = await readMaterial(directory).catch((error: unknown) => {
    if (options.create === false) throw error;
    return undefined;
  });
  if (found && isExternalMaterial(found))
    return { authority: external?.under(found.root) ?? abandoned(found.root), material: found };
  const authority = await openAuthority(directory, options);
  return { authority, material: await readMaterial(directory) };
}

/** The settings name the external authority no longer: its roots stay trusted until another authority has taken over. */
function abandoned(root: string): CertificateAuthority {
  const ends = pemBlocks(root).map((pem) => new X509Certificate(pem).validToDate.getTime());
  return {
    root,
    intermediates: '',
    notAfter: new Date(Math.min(...ends)),
    external: true,
    issue: () =>
      Promise.reject(
        new CodedError('AuthorityChanges', 'the mesh moves to another authority; try again in a minute'),
      ),
  };
}
