import type { EnvoyFilterSpec } from '../../gen/crd/types/istio/envoy-filter.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { contentOf, type Quarantine, quarantineKind } from '../features/extensibility/envoy-filter/schema.ts';
import { getOrMake } from '../kit/maps.ts';
import type { Push, ResourceSource } from '../snapshot/push.ts';
import type { WorldChange } from '../snapshot/world.ts';
import type { Ledger, RecoveredEvent, RejectedEvent } from '../xds/ledger.ts';
import type { RejectedResource } from '../xds/watch.ts';

export interface FilterQuarantineOptions {
  /** Puts changes into the compile. */
  readonly apply: (changes: readonly WorldChange[]) => void;
  readonly compile: Pick<ResourceSource, 'resources' | 'onPush'>;
  /** Resolves when what was applied has been compiled. */
  readonly settled: () => Promise<void>;
  readonly log: { info(message: string): void };
}

/** A filter that is left out of one resource. */
interface LeftOut {
  readonly reason: string;
  /** Nothing but leaving it out made proxies take the resource. */
  isProven: boolean;
}

/** A resource that some proxy refused: the filters that are left out of it, in the order in which that happened. */
interface Case {
  readonly leftOut: Map<string, LeftOut>;
  /** It was refused without any filter too: they are not to blame. */
  isHopeless: boolean;
}

/** A refusal of a version that was not the present one any more. */
interface Stale {
  readonly event: RejectedEvent;
  readonly detail: RejectedResource;
}

interface Known {
  content: string;
  /** Counts edits: what was edited last is suspected first. */
  edited: number;
}

/** A filter that breaks more resources than this is out of force for all. */
const maxResources = 20;
/** Resources, and versions of each, whose refusals are remembered. */
const maxStale = 1_000;
const maxStaleVersions = 16;
/** Of a proxy's message, what is kept. */
const reasonLimit = 500;

/**
 * Takes EnvoyFilters out of what proxies refuse because of them, so that no patch takes a proxy down. Of several that had a part in a
 * resource the one that was edited last goes first; once the resource is taken, that one is proven guilty and the others come back. A
 * filter is tried again when it is edited.
 */
export class FilterQuarantine {
  readonly #options: FilterQuarantineOptions;
  readonly #filters = new Map<string, Known>();
  /** `type URL name` */
  readonly #cases = new Map<string, Case>();
  /**
   * By the same, then version: should that version become the present one again, it is not sent, as it is known to be refused, and so
   * nobody would say anything.
   */
  readonly #stale = new Map<string, Map<string, Stale>>();
  #edits = 0;

  constructor(options: FilterQuarantineOptions) {
    this.#options = options;
  }

  /** Listens to a ledger; returns the way to stop. */
  follow(ledger: Ledger): () => void {
    const stops = [
      ledger.onRejected((event) => this.#rejected(event)),
      ledger.onRecovered((event) => this.#recovered(event)),
      this.#options.compile.onPush((push) => this.#pushed(push)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  /** Takes note of what EnvoyFilters say now: who says something else is no longer in quarantine. */
  observe(changes: readonly ConfigChange[]): void {
    for (const { kind, key, object } of changes) {
      if (kind !== 'EnvoyFilter') continue;
      const content = object && contentOf({ spec: object.spec as EnvoyFilterSpec });
      if (content === this.#filters.get(key)?.content) continue;
      if (content === undefined) this.#filters.delete(key);
      else this.#filters.set(key, { content, edited: ++this.#edits });
      this.#release(key);
    }
  }

  #release(key: string): void {
    let changed = false;
    for (const [id, one] of this.#cases) {
      changed = one.leftOut.delete(key) || changed;
      one.isHopeless = false;
      if (one.leftOut.size === 0) this.#cases.delete(id);
    }
    if (changed) this.#publish([key]);
  }

  #rejected(event: RejectedEvent): void {
    const changed = new Set<string>();
    for (const detail of event.details) {
      const id = `${event.typeUrl} ${detail.name}`;
      // A newer version is on its way: what this one was refused for may be mended.
      if (this.#isPresent(event, detail)) this.#judge(id, event, detail, changed);
      else this.#remember(id, { event, detail });
    }
    if (changed.size === 0) return;
    this.#publish(changed);
    void this.#lookAgain(event);
  }

  #isPresent({ proxyId, typeUrl }: RejectedEvent, { name, version }: RejectedResource): boolean {
    return this.#options.compile.resources(proxyId, typeUrl).get(name)?.version === version;
  }

  /** Where leaving a filter out changes nothing, as another one asks for the same, nothing new is sent that could be refused. */
  async #lookAgain(event: RejectedEvent): Promise<void> {
    await this.#options.settled();
    const details = event.details.filter((detail) => this.#isPresent(event, detail));
    if (details.length > 0) this.#rejected({ ...event, details });
  }

  #judge(
    id: string,
    { message }: RejectedEvent,
    { name, origins }: RejectedResource,
    changed: Set<string>,
  ): void {
    const known = this.#cases.get(id);
    const suspects = origins
      .filter(({ kind }) => kind === 'EnvoyFilter')
      .map((origin) => `${origin.namespace}/${origin.name}`)
      .filter((key) => this.#filters.has(key) && !known?.leftOut.has(key));
    const guess = suspects.sort((a, b) => this.#editedAt(b) - this.#editedAt(a))[0];
    if (guess === undefined) {
      if (known) this.#acquit(known, changed, true);
      return;
    }
    if (known?.isHopeless) return;
    const one = getOrMake(this.#cases, id, () => ({ leftOut: new Map(), isHopeless: false }));
    one.leftOut.set(guess, { reason: message.slice(0, reasonLimit), isProven: false });
    changed.add(guess);
    this.#options.log.info(`EnvoyFilter ${guess} is left out of ${name}: ${message.slice(0, reasonLimit)}`);
  }

  #remember(id: string, stale: Stale): void {
    if (this.#stale.size >= maxStale) this.#stale.clear();
    const versions = getOrMake(this.#stale, id, () => new Map<string, Stale>());
    if (versions.size >= maxStaleVersions) versions.clear();
    versions.set(stale.detail.version, stale);
  }

  #pushed({ deltas }: Push): void {
    if (this.#stale.size === 0) return;
    for (const { typeUrl, upserts } of deltas)
      for (const { name, version } of upserts) {
        const stale = this.#stale.get(`${typeUrl} ${name}`)?.get(version);
        // After the flush that this push is a part of.
        if (stale) setImmediate(() => this.#rejected({ ...stale.event, details: [stale.detail] }));
      }
  }

  #editedAt(key: string): number {
    return this.#filters.get(key)?.edited ?? 0;
  }

  /** Lets those go whose guilt is not proven. */
  #acquit(one: Case, changed: Set<string>, isHopeless: boolean): void {
    one.isHopeless = isHopeless;
    for (const [key, { isProven }] of one.leftOut) {
      if (isProven) continue;
      one.leftOut.delete(key);
      changed.add(key);
    }
  }

  /** Of those that were left out before it, nobody knows whether they did harm. */
  #recovered({ typeUrl, resources }: RecoveredEvent): void {
    const changed = new Set<string>();
    for (const name of resources) {
      this.#stale.delete(`${typeUrl} ${name}`);
      const one = this.#cases.get(`${typeUrl} ${name}`);
      const last = one && [...one.leftOut.values()].at(-1);
      if (!one || !last || last.isProven) continue;
      last.isProven = true;
      this.#acquit(one, changed, false);
    }
    this.#publish(changed);
  }

  #publish(keys: Iterable<string>): void {
    const changes = [...keys].map((key) => ({
      kind: quarantineKind.name,
      key,
      value: this.#quarantineOf(key),
    }));
    if (changes.length > 0) this.#options.apply(changes);
  }

  #quarantineOf(key: string): Quarantine | undefined {
    const known = this.#filters.get(key);
    if (!known) return undefined;
    const resources: Record<string, string> = {};
    for (const [id, { leftOut }] of this.#cases) {
      const found = leftOut.get(key);
      if (found) resources[id] = found.reason;
    }
    const count = Object.keys(resources).length;
    if (count === 0) return undefined;
    return { content: known.content, resources, ...(count > maxResources ? { everywhere: true } : {}) };
  }
}
