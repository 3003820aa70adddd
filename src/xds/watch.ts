import type { Origin } from '../config/origin.ts';
import type { PushDelta } from '../snapshot/push.ts';
import type { Resource } from '../snapshot/resource.ts';
import { Held } from './held.ts';
import { NameSet } from './name-set.ts';

/** A response that the client has neither acknowledged nor rejected. */
export interface InFlight {
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  /** The oldest revision whose changes it carries. */
  readonly revision: number;
  /** The revision that its resources are of. */
  readonly sentRevision: number;
  /** ms, monotonic. */
  readonly sentAt: number;
  /** Clusters in it that warm slowly: their users wait for the acknowledgement. */
  readonly slow: ReadonlySet<string> | undefined;
  readonly trial: Trial | undefined;
}

/** A part of a rejected response that is sent again to learn which of its resources is bad. */
export interface Trial {
  readonly names: readonly string[];
  readonly removed: readonly string[];
  /** Last good versions of resources that were rejected: what the client holds of them is unknown. */
  readonly restore: readonly Resource[];
  /** Responses that may still be spent on this rejection; shared by all its parts. */
  readonly budget: { left: number };
}

export interface RejectedResource {
  readonly name: string;
  readonly version: string;
  readonly message: string;
  readonly at: number;
  readonly origins: readonly Origin[];
}

/** When a response went or was acknowledged, and the configuration revision that it stood for. */
export interface DeliveryMark {
  readonly nonce: string;
  readonly revision: number;
  /** ms since the epoch. */
  readonly at: number;
}

/** One type on one stream: what the client asked for, what it holds, and what it has yet to be told. */
export class Watch {
  readonly typeUrl: string;
  /** A first request has come. */
  started = false;
  wildcard = false;
  readonly names = new NameSet();
  /** As acknowledged. */
  readonly held = new Held();
  inFlight: InFlight | undefined;
  /** Of the last response, answered or not. */
  lastNonce = '';
  lastSent: DeliveryMark | undefined;
  lastAcknowledged: DeliveryMark | undefined;
  /** A first answer is owed even if it is empty: Envoy's start waits for it. */
  owed = false;
  /** Everything subscribed is to be sent. */
  everything = false;
  /** Names whose present state may differ from what the client holds. */
  readonly dirty = new Set<string>();
  /** Names that must be sent even if the client seems to hold their present version. */
  readonly forced = new Set<string>();
  /** Of the dirty names, those that wait for clusters to be ready. */
  gated = false;
  /** Names to remove at a time (ms); Infinity until the routes that used them are gone. */
  readonly retiring = new Map<string, number>();
  /** Kept at their last good version until a newer one comes. */
  readonly rejected = new Map<string, RejectedResource>();
  readonly trials: Trial[] = [];
  /** The oldest revision that is not sent in full; undefined: nothing is waiting. */
  oldest: number | undefined;
  /** The one delta that waits, as long as it is the only thing that waits: its encoded body is shared. */
  #delta: PushDelta | undefined;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  /** Takes note of a change. A client that is busy keeps names only, never resources: its backlog has no bytes. */
  note(delta: PushDelta, revision: number, busy: boolean): void {
    this.oldest ??= revision;
    const alone =
      !busy && !this.#delta && this.dirty.size === 0 && this.forced.size === 0 && !this.everything;
    if (alone) this.#delta = delta;
    else {
      this.absorb();
      this.#absorb(delta);
    }
  }

  /** The delta that is the only pending change, if it is; absorbed otherwise. */
  takeDelta(): PushDelta | undefined {
    const delta = this.#delta;
    if (!delta || this.owed || this.everything) return undefined;
    const backlog = this.dirty.size + this.forced.size + this.trials.length;
    if (backlog + this.rejected.size + this.retiring.size > 0) return undefined;
    this.#delta = undefined;
    return delta;
  }

  /** Puts back what could not be sent as it is. */
  absorb(delta: PushDelta | undefined = this.#delta): void {
    if (delta) this.#absorb(delta);
    this.#delta = undefined;
  }

  #absorb(delta: PushDelta): void {
    for (const resource of delta.upserts) {
      this.dirty.add(resource.name);
      this.retiring.delete(resource.name);
    }
    for (const name of delta.removed) this.dirty.add(name);
  }

  get hasWork(): boolean {
    return (
      this.owed ||
      this.everything ||
      this.#delta !== undefined ||
      this.dirty.size > 0 ||
      this.forced.size > 0 ||
      this.trials.length > 0
    );
  }

  /** Whether everything up to a revision is sent and answered. Removals that wait out their grace do not count. */
  isSynced(revision: number): boolean {
    if (this.inFlight && this.inFlight.revision <= revision) return false;
    return !this.hasWork || this.oldest === undefined || this.oldest > revision;
  }

  forget(name: string): void {
    this.names.delete(name);
    this.held.delete(name);
    this.dirty.delete(name);
    this.forced.delete(name);
    this.retiring.delete(name);
    this.rejected.delete(name);
  }
}
