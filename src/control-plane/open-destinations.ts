import type { ConfigObject } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { getOrMake } from '../kit/maps.ts';
import { hostCovers, isWildcard, resolveHost } from '../plan/hosts.ts';

export interface OpenDestinationsOptions {
  readonly domainSuffix: string;
  /**
   * How long what completes a route is waited for, in ms. Default 250: kubectl writes the objects of one file tens of
   * milliseconds apart, on a busy machine a hundred.
   */
  readonly patienceMs?: number;
  /** Milliseconds, monotonic or not. */
  readonly now?: () => number;
}

/** Holds in a row last at most this many patiences. */
const mostPatiences = 4;

/**
 * Destinations (host, or host and subset) that VirtualServices name and nothing provides. People write a route before the subset
 * that it needs, or delete them in the wrong order, in one file: each object arrives alone, and the state between would cost
 * requests. So what opens a destination is held back for a moment, in which the rest of the file arrives; after it, what
 * the user asked for is done. A destination that stays open holds nothing up again.
 */
export class OpenDestinations {
  readonly #options: Required<OpenDestinationsOptions>;
  /** VirtualService → names that it wants. */
  readonly #wants = new Map<string, readonly string[]>();
  readonly #wantedBy = new Map<string, Set<string>>();
  /** Service, ServiceEntry, DestinationRule → names that it provides. */
  readonly #provides = new Map<string, readonly string[]>();
  readonly #providedBy = new Map<string, Set<string>>();
  /** Wildcard names among them. */
  readonly #wildcards = new Set<string>();
  readonly #open = new Set<string>();
  /** Opened within the patience, with the time. */
  readonly #fresh = new Map<string, number>();
  #holdingSince: number | undefined;

  constructor(options: OpenDestinationsOptions) {
    this.#options = { patienceMs: 250, now: Date.now, ...options };
  }

  /** `initial`: what a source holds at the start, which is waited for anyway. */
  take(changes: readonly ConfigChange[], initial: boolean): void {
    const touched = new Set<string>();
    let wildcards = false;
    for (const { kind, group, key, object } of changes) {
      const id = `${kind} ${key}`;
      if (kind === 'VirtualService' && group === 'networking.istio.io')
        replace(this.#wants, this.#wantedBy, id, object ? this.#wanted(object) : [], touched);
      else if (isProvider(group, kind)) {
        const names = object ? this.#provided(object) : [];
        for (const name of [...names, ...(this.#provides.get(id) ?? [])]) wildcards ||= isWildcard(name);
        replace(this.#provides, this.#providedBy, id, names, touched);
      }
    }
    if (wildcards) this.#findWildcards();
    const now = initial ? undefined : this.#options.now();
    for (const name of wildcards ? this.#wantedBy.keys() : touched) this.#look(name, now);
  }

  /** When what is known may be acted on, in `now`'s milliseconds; undefined: at once. */
  holdUntil(): number | undefined {
    const { patienceMs, now } = this.#options;
    let newest = 0;
    for (const [name, since] of this.#fresh)
      if (since + patienceMs <= now()) this.#fresh.delete(name);
      else newest = Math.max(newest, since);
    if (this.#fresh.size === 0) {
      this.#holdingSince = undefined;
      return undefined;
    }
    this.#holdingSince ??= newest;
    const until = Math.min(newest + patienceMs, this.#holdingSince + mostPatiences * patienceMs);
    return until > now() ? until : undefined;
  }

  #look(name: string, now: number | undefined): void {
    if (!this.#wantedBy.has(name) || this.#isProvided(name)) {
      this.#open.delete(name);
      this.#fresh.delete(name);
    } else if (!this.#open.has(name)) {
      this.#open.add(name);
      if (now !== undefined) this.#fresh.set(name, now);
    }
  }

  #isProvided(name: string): boolean {
    if (this.#providedBy.has(name)) return true;
    const [host = '', subset] = name.split('|');
    for (const wildcard of this.#wildcards) {
      const [pattern = '', of] = wildcard.split('|');
      if (of === subset && hostCovers(pattern, host)) return true;
    }
    return false;
  }

  #findWildcards(): void {
    this.#wildcards.clear();
    for (const name of this.#providedBy.keys()) if (isWildcard(name)) this.#wildcards.add(name);
  }

  #nameOf(host: unknown, object: ConfigObject, subset: unknown = ''): string {
    const namespace = object.metadata.namespace ?? 'default';
    return `${resolveHost(String(host).toLowerCase(), namespace, this.#options.domainSuffix)}|${subset}`;
  }

  #wanted(object: ConfigObject): string[] {
    const { http = [], tcp = [], tls = [] } = (object.spec ?? {}) as Routes;
    const destinations = [...http, ...tcp, ...tls].flatMap(({ route = [], mirror, mirrors = [] }) => [
      ...route.map(({ destination }) => destination),
      mirror,
      ...mirrors.map(({ destination }) => destination),
    ]);
    const names = destinations.flatMap((destination) => {
      if (!destination?.host) return [];
      const { host, subset } = destination;
      return [this.#nameOf(host, object), ...(subset ? [this.#nameOf(host, object, subset)] : [])];
    });
    return [...new Set(names)];
  }

  #provided(object: ConfigObject): string[] {
    const { host, hosts = [], subsets = [] } = (object.spec ?? {}) as Provided;
    switch (object.kind) {
      case 'Service':
        return [this.#nameOf(object.metadata.name, object)];
      case 'ServiceEntry':
        return hosts.map((one) => this.#nameOf(one, object));
      default:
        return subsets.map(({ name }) => this.#nameOf(host, object, name));
    }
  }
}

interface Destination {
  readonly host?: string;
  readonly subset?: string;
}

interface Route {
  readonly route?: readonly { readonly destination?: Destination }[];
  readonly mirror?: Destination;
  readonly mirrors?: readonly { readonly destination?: Destination }[];
}

interface Routes {
  readonly http?: readonly Route[];
  readonly tcp?: readonly Route[];
  readonly tls?: readonly Route[];
}

interface Provided {
  readonly host?: string;
  readonly hosts?: readonly string[];
  readonly subsets?: readonly { readonly name?: string }[];
}

function isProvider(group: string, kind: string): boolean {
  if (group === '') return kind === 'Service';
  return group === 'networking.istio.io' && (kind === 'ServiceEntry' || kind === 'DestinationRule');
}

/** Files an object's names, both ways; the names that it had and has are touched. */
function replace(
  names: Map<string, readonly string[]>,
  objects: Map<string, Set<string>>,
  id: string,
  next: readonly string[],
  touched: Set<string>,
): void {
  for (const name of names.get(id) ?? []) {
    touched.add(name);
    const ids = objects.get(name);
    ids?.delete(id);
    if (ids?.size === 0) objects.delete(name);
  }
  for (const name of next) {
    touched.add(name);
    getOrMake(objects, name, () => new Set<string>()).add(id);
  }
  if (next.length > 0) names.set(id, next);
  else names.delete(id);
}
