import { X509Certificate } from 'node:crypto';
import type { AuthorityMaterial } from './authority-material.ts';
import { pemBlocks } from './pem.ts';
import type { RotationPhase } from './rotation-files.ts';

export interface RotationStatus {
  readonly phase: RotationPhase;
  readonly startedAt: number;
  readonly since: number;
  /** Who is waited for: identity, and name where it asked for news. */
  readonly waitingFor: readonly { readonly identity: string; readonly instance: string }[];
}

export interface ChainStatus {
  readonly what: 'root' | 'signing certificate' | 'next root' | 'next signing certificate';
  readonly subject: string;
  readonly notAfter: Date;
}

/** Times are RFC 3339 texts where it travelled as JSON. */
export interface RingStatus {
  readonly kind: 'self-signed' | 'plugged-in';
  readonly chains: readonly ChainStatus[];
  /** Certificates of workloads that have not ended. */
  readonly certificates: number;
  /** End of the one that ends first. */
  readonly earliestEnd?: Date;
  readonly rotation?: RotationStatus;
}

/** The certificates of an authority that end some day: its roots, and the signer where that is none of them. */
export function chainsOf(material: AuthorityMaterial, prefix: '' | 'next '): ChainStatus[] {
  const status = (what: ChainStatus['what'], pem: string): ChainStatus => {
    const { subject, validToDate } = new X509Certificate(pem);
    return { what, subject: subject.replaceAll('\n', ', '), notAfter: validToDate };
  };
  const roots = pemBlocks(material.root);
  const signer = pemBlocks(material.certificate)[0] as string;
  return [
    ...roots.map((pem) => status(`${prefix}root`, pem)),
    ...(roots.includes(signer) ? [] : [status(`${prefix}signing certificate`, signer)]),
  ];
}
