import type { DeltaDiscoveryResponse } from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { routeConfigOf } from '../../src/xds/xds-type.ts';
import { DeltaClient, sleep } from './fake-envoy.ts';

const { cluster, endpoints, listener, route, virtualHost } = typeUrls;
const all = [cluster, endpoints, listener, route, virtualHost];

export interface Random {
  /** 0 ≤ n < below. */
  int(below: number): number;
  chance(probability: number): boolean;
}

export function seeded(seed: number): Random {
  let state = seed >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  return { int: (below) => Math.floor(next() * below), chance: (probability) => next() < probability };
}

interface Held {
  readonly version: string;
  readonly body: string;
}

/**
 * Behaves as Envoy does towards a delta server, as far as delivery can tell: asks for endpoints of new clusters, for the route
 * tables of listeners, and once per stream for virtual hosts; loses virtual hosts of tables that it does not hold; rejects a
 * response with a poisoned resource as a whole, or after it took a part of it. Notes every moment in which a request could
 * have met a host whose cluster was not there or had no endpoints.
 */
export class ModelEnvoy {
  readonly held = new Map(all.map((typeUrl) => [typeUrl as string, new Map<string, Held>()]));
  readonly problems: string[] = [];
  rejections = 0;
  readonly #port: number;
  readonly #id: string;
  readonly #random: Random;
  #client: DeltaClient | undefined;
  #asked = new Set<string>();
  readonly #subscribedRoutes = new Set<string>();
  #busy = 0;

  constructor(port: number, id: string, random: Random) {
    this.#port = port;
    this.#id = id;
    this.#random = random;
  }

  map(typeUrl: string): Map<string, Held> {
    return this.held.get(typeUrl) as Map<string, Held>;
  }

  get isBusy(): boolean {
    return this.#busy > 0;
  }

  /** Opens a stream; one that had another before says what it holds. */
  connect(): void {
    const client = new DeltaClient(this.#port);
    this.#client = client;
    this.#asked = new Set();
    client.onResponse = (response) => {
      client.responses.length = 0;
      void this.#answer(client, response);
    };
    const isReturning = this.map(cluster).size > 0;
    this.#subscribedRoutes.clear();
    for (const name of this.#wantedRoutes()) this.#subscribedRoutes.add(name);
    this.#ask(cluster, { node: { id: this.#id } });
    if (!isReturning) return;
    this.#ask(endpoints);
    this.#ask(listener);
    this.#ask(route);
    if (this.map(route).size > 0) this.#ask(virtualHost);
  }

  async disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client) await client.close();
  }

  #ask(typeUrl: string, options: { node?: { id: string } } = {}): void {
    const isFirst = !this.#asked.has(typeUrl);
    this.#asked.add(typeUrl);
    const held = this.map(typeUrl);
    const named =
      typeUrl === endpoints ? this.#wantedEndpoints() : typeUrl === route ? this.#wantedRoutes() : [];
    const versions = isFirst
      ? Object.fromEntries([...held].map(([name, { version }]) => [name, version]))
      : {};
    this.#client?.request(typeUrl, { ...options, subscribe: named, versions });
  }

  #wantedEndpoints(): string[] {
    return [...this.map(cluster).keys()];
  }

  /** A listener's body ends in the name of its route table. */
  #wantedRoutes(): string[] {
    const names = [...this.map(listener).values()].map(({ body }) => body.split(' ').at(-1) as string);
    return [...new Set(names)];
  }

  async #answer(client: DeltaClient, response: DeltaDiscoveryResponse): Promise<void> {
    const poisoned = response.resources.filter(({ resource }) => bodyOf(resource?.value).includes('poison'));
    const { typeUrl } = response;
    if (poisoned.length > 0) {
      this.rejections++;
      if (this.#random.chance(0.5)) {
        const good = response.resources.filter((one) => !poisoned.includes(one));
        this.#take(client, { ...response, resources: good, removedResources: [] });
      }
    } else this.#take(client, response);
    this.#busy++;
    await sleep(this.#random.int(6));
    this.#busy--;
    if (client !== this.#client) return;
    if (poisoned.length === 0) client.ack(response);
    else {
      const names = poisoned.map(({ name }) => name).join(', ');
      const message = this.#random.chance(0.5) ? `Error adding/updating ${names}: bad` : 'something is bad';
      client.request(typeUrl, { nonce: response.nonce, error: message });
    }
  }

  #take(client: DeltaClient, response: DeltaDiscoveryResponse): void {
    if (client !== this.#client) return;
    const { typeUrl } = response;
    const held = this.map(typeUrl);
    const before = new Set(held.keys());
    for (const { name, version, resource } of response.resources) {
      if (typeUrl === virtualHost && !this.map(route).has(routeConfigOf(name))) continue;
      if (typeUrl === endpoints && !this.map(cluster).has(name)) continue;
      if (typeUrl === route && !this.#subscribedRoutes.has(name)) continue;
      held.set(name, { version, body: bodyOf(resource?.value) });
    }
    const ignoresRemoval = typeUrl === endpoints || typeUrl === route;
    for (const name of ignoresRemoval ? [] : response.removedResources) held.delete(name);
    if (typeUrl === cluster) this.#afterClusters(client, before);
    if (typeUrl === listener) this.#afterListeners(client);
    if (typeUrl === route && !this.#asked.has(virtualHost) && held.size > 0) this.#ask(virtualHost);
    if (typeUrl === virtualHost || typeUrl === cluster) this.#check(typeUrl);
  }

  #afterClusters(client: DeltaClient, before: ReadonlySet<string>): void {
    const now = this.map(cluster);
    const gone = [...before].filter((name) => !now.has(name));
    for (const name of gone) this.map(endpoints).delete(name);
    if (this.#asked.has(endpoints)) {
      const added = [...now.keys()].filter((name) => !before.has(name));
      if (added.length + gone.length > 0) client.request(endpoints, { subscribe: added, unsubscribe: gone });
    } else if (now.size > 0) this.#ask(endpoints);
    if (!this.#asked.has(listener)) this.#ask(listener);
  }

  #afterListeners(client: DeltaClient): void {
    const wanted = new Set(this.#wantedRoutes());
    const held = this.map(route);
    const gone = [...this.#subscribedRoutes].filter((name) => !wanted.has(name));
    for (const name of gone) {
      held.delete(name);
      for (const host of this.map(virtualHost).keys())
        if (routeConfigOf(host) === name) this.map(virtualHost).delete(host);
    }
    const added = [...wanted].filter((name) => !this.#subscribedRoutes.has(name));
    for (const name of gone) this.#subscribedRoutes.delete(name);
    for (const name of added) this.#subscribedRoutes.add(name);
    if (!this.#asked.has(route)) this.#ask(route);
    else if (added.length + gone.length > 0) client.request(route, { subscribe: added, unsubscribe: gone });
  }

  /** A virtual host's body ends in the name of its cluster. */
  #check(cause: string): void {
    for (const [host, { body }] of this.map(virtualHost)) {
      const target = body.split(' ').at(-1) as string;
      const what = !this.map(cluster).has(target) ? 'is not there' : undefined;
      if (what) this.problems.push(`after ${cause}: ${host} leads to ${target}, which ${what}`);
    }
  }
}

function bodyOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}
