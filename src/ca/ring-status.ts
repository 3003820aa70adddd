import { X509Certificate } from 'node:crypto';
import type { AuthorityMaterial } from './authority-material.ts';
import type { ExternalStatus } from './external/external-authority.ts';
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
  readonly what: `${'' | 'next '}${'root' | 'intermediate' | 'signing certificate'}` | 'control plane root';
  readonly subject: string;
  readonly notAfter: Date;
}

export interface RevocationStatus {
  readonly revoked: number;
  /** When the first of the lists ends. */
  readonly nextUpdate: Date;
  /** Why workloads do not get them; absent: they do. */
  readonly heldBack?: string;
}

/** Times are RFC 3339 texts where it travelled as JSON. */
export interface RingStatus {
  readonly kind: 'self-signed' | 'plugged-in' | 'external';
  readonly chains: readonly ChainStatus[];
  /** Certificates of workloads that have not ended. */
  readonly certificates: number;
  /** End of the one that ends first. */
  readonly earliestEnd?: Date;
  readonly rotation?: RotationStatus;
  /** Lists of revoked certificates; absent where there are none. */
  readonly revocation?: RevocationStatus | undefined;
  /** Trust domains with roots of their own. */
  readonly trustDomains?: readonly string[];
  /** Who signs, where somebody else does. */
  readonly external?: ExternalStatus;
}

/** The certificates of an authority that end some day: its roots, what stands between, and the signer where that is no root. */
export function chainsOf(material: AuthorityMaterial, prefix: '' | 'next '): ChainStatus[] {
  const roots = pemBlocks(material.root);
  const signers = pemBlocks(material.certificate);
  const between = pemBlocks(material.chain).filter((pem) => !roots.includes(pem) && !signers.includes(pem));
  return [
    ...roots.map((pem) => chainStatus(`${prefix}root`, pem)),
    ...between.map((pem) => chainStatus(`${prefix}intermediate`, pem)),
    ...signers
      .filter((pem) => !roots.includes(pem))
      .map((pem) => chainStatus(`${prefix}signing certificate`, pem)),
  ];
}

export function chainStatus(what: ChainStatus['what'], pem: string): ChainStatus {
  const { subject, validToDate } = new X509Certificate(pem);
  return { what, subject: subject.replaceAll('\n', ', '), notAfter: validToDate };
}
