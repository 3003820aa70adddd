import type { Origin } from '../config/origin.ts';
import { Pace, type PaceOptions } from '../kit/pace.ts';
import type { PushDelta } from '../snapshot/push.ts';
import { endpointSetOf, type Resource } from '../snapshot/resource.ts';
import { byName, Held } from './held.ts';
import { NameSet } from './name-set.ts';
import { isPaced } from './xds-type.ts';

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

export type SharedDelta = Pick<PushDelta, 'upserts' | 'removed'>;

/** Names that are remembered as sent unasked; beyond, a subscription is simply answered again. */
const maxUnasked = 256;
/** One push has a delta of a type per source of that type: a few. */
const maxDeltas = 8;
const joinedDeltas = new WeakMap<SharedDelta, WeakMap<SharedDelta, SharedDelta>>();

/** The same object for the same two: what is encoded of it is shared. The deltas of one push have no name in common. */
function joinDeltas(a: SharedDelta, b: SharedDelta): SharedDelta {
  let byOther = joinedDeltas.get(a);
  if (!byOther) {
    byOther = new WeakMap();
    joinedDeltas.set(a, byOther);
  }
  let joined = byOther.get(b);
  if (!joined) {
    joined = {
      upserts: [...a.upserts, ...b.upserts].sort(byName),
      removed: [...a.removed, ...b.removed],
    };
    byOther.set(b, joined);
  }
  return joined;
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
  /** Virtual hosts: names that were asked for and are not answered, with the resource that each stands for; '' for none. */
  readonly asked = new Map<string, string>();
  /** Of the dirty names, those that wait for clusters to be ready. */
  gated = false;
  /** Names to remove at a time (ms); Infinity until the routes that used them are gone. */
  readonly retiring = new Map<string, number>();
  /** Kept at their last good version until a newer one comes. */
  readonly rejected = new Map<string, RejectedResource>();
  /** Of those, the ones whose refused version is sent once more (retry-refused.ts). */
  readonly retried = new Set<string>();
  /** When that happens next (ms, monotonic), and how often it did. */
  nextRetry: { readonly attempt: number; readonly at: number } | undefined;
  readonly trials: Trial[] = [];
  /** The oldest revision that is not sent in full; undefined: nothing is waiting. */
  oldest: number | undefined;
  /** Endpoints: lists of clusters that were sent and whose endpoints must follow, asked for or not. */
  following: (readonly Resource[])[] = [];
  /** Endpoints: versions that were sent before the client subscribed to them. */
  readonly #unasked = new Map<string, string>();
  /** The deltas of one push that wait, as long as they are the only thing that waits: their encoded bodies are shared. */
  #deltas: PushDelta[] = [];
  #deltaRevision = 0;

  /** Undefined: the next response follows as soon as the last one is answered. */
  readonly #pace: Pace | undefined;

  constructor(typeUrl: string, pace: PaceOptions) {
    this.typeUrl = typeUrl;
    this.#pace = isPaced(typeUrl) ? new Pace(pace) : undefined;
  }

  /** Takes note of a change. A client that is busy keeps names only, never resources: its backlog has no bytes. */
  note(delta: PushDelta, revision: number, busy: boolean): void {
    this.oldest ??= revision;
    const isSamePush = this.#deltas.length === 0 || this.#deltaRevision === revision;
    const alone = !busy && isSamePush && this.#backlog === 0 && !this.everything;
    if (alone && this.#deltas.length < maxDeltas) {
      this.#deltas.push(delta);
      this.#deltaRevision = revision;
    } else {
      this.absorb();
      this.#absorb(delta);
    }
  }

  get #backlog(): number {
    return this.dirty.size + this.forced.size + this.asked.size + this.trials.length + this.following.length;
  }

  /** The change of one push if it is the only thing that waits, as one delta that is shared by all clients. */
  takeDelta(): SharedDelta | undefined {
    if (this.#deltas.length === 0 || this.owed || this.everything) return undefined;
    if (this.#backlog + this.rejected.size + this.retiring.size > 0) return undefined;
    const delta = this.#deltas.slice(1).reduce(joinDeltas, this.#deltas[0] as SharedDelta);
    if (delta.removed.length > 0) return undefined;
    this.#deltas = [];
    return delta;
  }

  /** ms until the next response may go. Parts of a rejected response are not held up: the client serves something old meanwhile. */
  wait(now: number): number {
    // A request of the application waits for what was asked for, and what comes meanwhile is answered together.
    if (this.trials.length > 0 || this.asked.size > 0) return 0;
    return this.#pace?.wait(now) ?? 0;
  }

  /** The client answered the response in flight, `tookMs` after it was sent. */
  answered(tookMs: number, now: number): void {
    this.inFlight = undefined;
    this.#pace?.done(tookMs, now);
  }

  /** The one delta that waits, if it says the same as the clusters whose endpoints must follow, and nothing else waits. */
  takeDeltaOf(following: readonly Resource[]): SharedDelta | undefined {
    const [delta, more] = this.#deltas;
    if (!delta || more || delta.upserts.length !== following.length) return undefined;
    if (!delta.upserts.every((resource, i) => resource === following[i])) return undefined;
    const kept = this.following;
    this.following = [];
    const taken = this.takeDelta();
    if (!taken) this.following = kept;
    return taken;
  }

  /** Turns deltas that wait into names. */
  absorb(): void {
    for (const delta of this.#deltas) this.#absorb(delta);
    this.#deltas = [];
  }

  /** Takes the clusters whose endpoints must follow, as names. */
  absorbFollowing(): void {
    for (const clusters of this.following)
      for (const cluster of clusters) {
        const name = endpointSetOf(cluster);
        if (name !== undefined) this.forced.add(name);
      }
    this.following = [];
  }

  /** The one list of clusters whose endpoints must follow, if nothing else waits. */
  takeFollowing(): readonly Resource[] | undefined {
    if (this.following.length !== 1 || this.owed || this.everything || this.#deltas.length > 0)
      return undefined;
    if (this.#backlog - 1 + this.rejected.size + this.retiring.size > 0) return undefined;
    const [clusters] = this.following;
    this.following = [];
    return clusters;
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
      this.#deltas.length > 0 ||
      this.following.length > 0 ||
      this.dirty.size > 0 ||
      this.forced.size > 0 ||
      this.asked.size > 0 ||
      this.trials.length > 0
    );
  }

  /** Whether everything up to a revision is sent and answered. Removals that wait out their grace do not count. */
  isSynced(revision: number): boolean {
    if (this.inFlight && this.inFlight.revision <= revision) return false;
    return !this.hasWork || this.oldest === undefined || this.oldest > revision;
  }

  /** Remembers what of a short list the client did not ask for. */
  noteUnasked(resources: readonly Resource[]): void {
    if (resources.length > maxUnasked) return;
    if (this.#unasked.size > maxUnasked) this.#unasked.clear();
    for (const { name, version } of resources) if (!this.names.has(name)) this.#unasked.set(name, version);
  }

  /** Whether a first subscription to a name is answered already, by a resource that came unasked and is still the present one. */
  takeUnasked(name: string, version: string | undefined): boolean {
    const sent = this.#unasked.get(name);
    if (sent === undefined) return false;
    this.#unasked.delete(name);
    return sent === version && !this.rejected.has(name);
  }

  forget(name: string): void {
    this.#unasked.delete(name);
    this.names.delete(name);
    this.held.delete(name);
    this.dirty.delete(name);
    this.forced.delete(name);
    this.retiring.delete(name);
    this.rejected.delete(name);
    this.retried.delete(name);
  }
}
