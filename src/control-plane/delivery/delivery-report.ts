import type { Origin } from '../../config/origin.ts';
import type { LagReason } from '../../xds/ledger.ts';

/** How far a change has come: the answer of `/debug/delivery`. Lists are cut at `listed` entries; the counts are not. */
export interface DeliveryReport {
  /** The compile has taken the change. */
  readonly compiled: boolean;
  /** Compiled, and every proxy concerned that is connected has answered. */
  readonly done: boolean;
  /** False: the change is too old for the control plane to know whom it concerned; then everybody counts. */
  readonly isKnown: boolean;
  readonly concerned: number;
  readonly acknowledged: number;
  /** Ids of the proxies concerned that have answered for everything. */
  readonly answered: readonly string[];
  readonly laggards: readonly Laggard[];
  /** Proxies concerned that are not connected (any more). */
  readonly absent: readonly string[];
  readonly refusals: readonly Refusal[];
  /** Queries of the compile that fail at present: proxies keep their last good resources. */
  readonly failures: readonly string[];
}

export interface Laggard {
  readonly proxy: string;
  /** Short name, such as `Cluster`. */
  readonly type: string;
  readonly reason: LagReason;
  /** ms since it is waited for. */
  readonly waitedMs: number;
  /** How long ago the proxy last acknowledged this type, in ms; undefined: never. */
  readonly acknowledgedMs: number | undefined;
}

export interface Refusal {
  /** Ids of the proxies that said so. */
  readonly proxies: readonly string[];
  readonly type: string;
  readonly resources: readonly string[];
  /** What Envoy said. */
  readonly message: string;
  readonly origins: readonly Origin[];
  /** False: meanwhile something else was taken in its place, such as the same without an EnvoyFilter. */
  readonly stands: boolean;
  /** It came after the change that was asked about, from a proxy that the change concerns. */
  readonly isNew: boolean;
}

export const listed = 100;
