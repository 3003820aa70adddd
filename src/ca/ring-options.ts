import type { OpenAuthorityOptions } from './authority-files.ts';
import type { ExternalAuthority } from './external/external-authority.ts';

export interface AuthorityRingOptions extends OpenAuthorityOptions {
  /** The control plane's state directory; see `rotationFiles`. */
  readonly state: string;
  /** A directory with an authority of the user's, looked at again and again. Default: a self-signed root of our own. */
  readonly source?: string;
  /** Who signs elsewhere, and the file of its roots, which is looked at again and again. Instead of `source`. */
  readonly external?: { readonly authority: ExternalAuthority; readonly rootFile: string };
  readonly info?: (message: string) => void;
  /** How often a workload asks for news, in ms. Default 5 minutes. */
  readonly syncMs?: number;
  /** The same while a rotation goes on. Default 5 s, more in a mesh of more than 250 workloads. */
  readonly rotationSyncMs?: number;
  /** A workload that asked once and then not for this long is taken for gone, in ms. Default 15 minutes. */
  readonly silentMs?: number;
  /** How often the user's directory and a rotation's progress are looked at, in ms. Default 2 s. */
  readonly checkMs?: number;
}

export const defaultSyncMs = 5 * 60_000;
