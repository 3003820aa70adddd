import { identityOf } from '../explain/hop.ts';
import { getOrMake } from '../kit/maps.ts';
import type { Model } from '../model/model.ts';
import { sendersOf } from '../request-space/senders.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { listenerIndex } from './listener-facts.ts';
import { isMoved, type PlaceClass, placeClasses, placeTargets } from './places.ts';
import { concernsServer, namedTargets, proxyTargets, type Side } from './proxy-targets.ts';
import { type SenderClass, senderClasses } from './sender-classes.ts';
import {
  changedServices,
  knownServices,
  movedAddresses,
  movedNames,
  servedTargets,
  serviceTargets,
} from './service-targets.ts';
import { anyPort, everyPort, type Target, targetUrl, unknownHost } from './target.ts';
import type { ResourceChange, Touched, TouchedProxy } from './touched.ts';
import { clustersTo, withGateways } from './ways.ts';

/** Whoever is called past every proxy but the own one. */
export interface Stranger {
  /** A workload that captures by ports (`namespace/name`), or an address. */
  readonly server: string;
  readonly port: number;
}

/** A host and port that a change may concern, and who sends requests there that it may concern. */
export interface Task {
  readonly target: Target;
  /** The Host that is sent where it is not the target's. */
  readonly host?: string;
  /** Stands for all requests whose Host is not their URL's, of senders that gain or lose a proxy. */
  readonly anyOtherHost?: true;
  readonly senders: Set<SenderClass>;
  readonly strangers: Map<string, Stranger>;
  /** Of an address: the workloads, `namespace/name`, whose addresses it stands for. */
  places: readonly string[];
}

/**
 * What becomes of a request follows from what its host means to the sender, from what the sender's proxy holds (or that it has none), from
 * who the sender is, and from what the proxies behind it hold. Each of these that changes brings the targets that it leads to; whoever
 * gains or loses a proxy or an identity brings every target there is. `hasTime` is asked on the way; where it says no, what was found
 * until then is all.
 */
export function tasksOf(before: Model, after: Model, touched: Touched, hasTime: HasTime): Task[] {
  if (!hasTime(listing)) return [];
  return new Tasks(before, after, touched, hasTime).all();
}

type HasTime = (left: string) => boolean;
const listing = 'not all hosts and ports that the change may concern were found';

const nowhere: readonly string[] = [];
/** Hosts that are tried in the place of each other, at most. */
const mostPairs = 5;

class Tasks {
  readonly #before: Model;
  readonly #after: Model;
  readonly #touched: ReadonlyMap<string, TouchedProxy>;
  readonly #classes: readonly SenderClass[];
  readonly #tasks = new Map<string, Task>();
  readonly #servers: ReadonlySet<string>;
  readonly #hasTime: () => boolean;
  #ports: ReadonlySet<number> | undefined;

  constructor(before: Model, after: Model, touched: Touched, hasTime: HasTime) {
    this.#hasTime = () => hasTime(listing);
    this.#before = before;
    this.#after = after;
    this.#touched = new Map(touched.proxies.map((one) => [one.workload.key, one]));
    const senders = sendersOf(after, ({ key }) => this.#touched.get(key)?.changes).filter(({ at }) =>
      before.workloads.has(at.key),
    );
    this.#classes = senderClasses(before, after, senders);
    this.#servers = new Set([
      ...touched.proxies.filter(concernsServer).map(({ workload }) => workload.key),
      ...touched.added,
      ...touched.removed,
    ]);
  }

  all(): Task[] {
    for (const model of [this.#before, this.#after]) if (this.#hasTime()) this.#fromProxies(model);
    if (this.#hasTime()) this.#fromServices();
    return [...this.#tasks.values()];
  }

  /** What changes without any proxy's having to say anything of it, and for those who become somebody else. */
  #fromServices(): void {
    const known = { before: knownServices(this.#before), after: knownServices(this.#after) };
    const redirected = this.#classes.filter(({ first }) =>
      [this.#before, this.#after].some((model) => isRedirected(model, first.at.key)),
    );
    const changed = changedServices(known.before, known.after, (socket) =>
      isMoved(this.#before, this.#after, socket),
    );
    this.#add(changed, this.#classes);
    // A proxy that knows the Host goes by it; one that does not, by where the name leads.
    for (const target of changed.filter(({ scheme }) => scheme === 'http'))
      for (const one of redirected) this.#task(target, nowhere, { host: unknownHost }).senders.add(one);
    this.#add(movedAddresses(known.before, known.after), this.#classes);
    const moved = movedNames(known.before, known.after);
    for (const host of moved)
      this.#add(everyPort(host, [...this.#ownPorts(redirected), anyPort]), this.#classes);
    const others = this.#classes.filter(({ first }) => isAnother(this.#before, this.#after, first.at.key));
    const services = others.length > 0 ? serviceTargets(known.before, known.after) : [];
    if (others.length > 0) this.#add(everywhere(services), others);
    for (const one of others) if (this.#changesCapture(one)) this.#withOtherHosts(one, services);
    for (const model of [this.#before, this.#after])
      for (const one of others) {
        if (!this.#hasTime()) return;
        const proxy = model.workloads.get(one.first.at.key)?.proxy;
        if (proxy) this.#add(namedTargets(model, proxy), [one]);
      }
    if (this.#hasTime()) this.#toAddresses(redirected, others);
  }

  #task(target: Target, places = nowhere, other: Pick<Task, 'host' | 'anyOtherHost'> = {}): Task {
    const key = `${targetUrl(target)} ${other.host ?? ''} ${other.anyOtherHost ?? ''}`;
    const task = getOrMake(this.#tasks, key, () => ({
      target,
      ...other,
      senders: new Set<SenderClass>(),
      strangers: new Map<string, Stranger>(),
      places,
    }));
    if (places.length > task.places.length) task.places = places;
    return task;
  }

  #add(targets: readonly Target[], classes: readonly SenderClass[], places = nowhere): void {
    for (const target of targets) {
      const { senders } = this.#task(target, places);
      for (const one of classes) senders.add(one);
    }
  }

  /** What changes at the senders' own proxies, and at those of the servers that they lead to. */
  #fromProxies(model: Model): void {
    const opposite = model === this.#before ? this.#after : this.#before;
    const ways = new Ways(model, opposite, this.#touched, withGateways(model, this.#servers));
    for (const one of this.#classes) {
      if (!this.#hasTime()) return;
      this.#add(ways.from(one), [one]);
    }
    for (const server of ways.servers) {
      if (!this.#hasTime()) return;
      const served = servedTargets(server, model);
      this.#add(served, this.#classes);
      // Others are called by their addresses.
      if (!model.workloads.get(server)?.proxy?.explicit) continue;
      for (const { endpointPort: port, ...target } of served)
        this.#task(target).strangers.set(server, { server, port });
    }
  }

  /**
   * Calls to workloads' own addresses. Whose proxy stays out of it, before and after, calls as anyone does; proxies of the others take all
   * addresses alike that they do not know, each port by its listener.
   */
  #toAddresses(redirected: readonly SenderClass[], others: readonly SenderClass[]): void {
    const everywhereRedirected = others.filter((one) => redirected.includes(one));
    const ways = [...this.#tasks.values()].filter(
      ({ target: { host, scheme } }) => host === unknownHost && (scheme === 'http' || scheme === 'tcp'),
    );
    const all = placeClasses(this.#before, this.#after, this.#knownAddresses(redirected));
    const places =
      ways.length > 0 || everywhereRedirected.length > 0 ? all : all.filter(({ changed }) => changed);
    const ports = places.length > 0 ? this.#ownPorts(redirected) : [];
    for (const place of places.filter(({ changed }) => changed)) {
      this.#add(placeTargets(place, ports), redirected, place.workloads);
      if (!this.#isGateway(place)) this.#addStrangers(place);
    }
    for (const place of places) {
      this.#add(placeTargets(place, ports), everywhereRedirected, place.workloads);
      for (const { target, senders } of ways) {
        const own = redirected.filter((one) => senders.has(one));
        const targets =
          target.port === anyPort ? placeTargets(place, []) : [{ ...target, host: place.address }];
        this.#add(targets, own, place.workloads);
      }
    }
  }

  #changesCapture({ first }: SenderClass): boolean {
    const [old, now] = [this.#before, this.#after].map((model) => isRedirected(model, first.at.key));
    return old !== now;
  }

  /** With a sidecar the Host decides, without one the URL does: some pairs of them show it. */
  #withOtherHosts(one: SenderClass, services: readonly Target[]): void {
    const http = services.filter(({ scheme }) => scheme === 'http').slice(0, mostPairs);
    for (const target of http)
      for (const { host } of http)
        if (host !== target.host) this.#task(target, nowhere, { host, anyOtherHost: true }).senders.add(one);
  }

  #addStrangers(place: PlaceClass): void {
    for (const target of placeTargets(place, []))
      this.#task(target, place.workloads).strangers.set(place.address, {
        server: place.address,
        port: target.port,
      });
  }

  /** It stays one: whoever calls it past every other proxy is a client outside. */
  #isGateway({ workloads }: PlaceClass): boolean {
    return workloads.every((key) =>
      [this.#before, this.#after].every((model) => model.workloads.get(key)?.proxy?.type === 'router'),
    );
  }

  #listeners(classes: readonly SenderClass[]) {
    return [this.#before, this.#after].flatMap((model) =>
      classes.flatMap(({ first }) => {
        const proxy = model.workloads.get(first.at.key)?.proxy;
        return proxy ? listenerIndex(model.resources(proxy)).all : [];
      }),
    );
  }

  /** Addresses that have listeners of their own. */
  #knownAddresses(classes: readonly SenderClass[]): ReadonlySet<string> {
    return new Set(this.#listeners(classes).map(({ address }) => address));
  }

  /** Ports that senders' proxies take otherwise than others, whatever the address. */
  #ownPorts(redirected: readonly SenderClass[]): ReadonlySet<number> {
    this.#ports ??= this.#findOwnPorts(redirected);
    return this.#ports;
  }

  #findOwnPorts(classes: readonly SenderClass[]): ReadonlySet<number> {
    const found = new Set<number>();
    for (const { address, port, listener } of this.#listeners(classes))
      if ((address === '0.0.0.0' || address === '::') && !listener.name.startsWith('virtual'))
        found.add(port);
    return found;
  }
}

function isRedirected(model: Model, key: string): boolean {
  const proxy = model.workloads.get(key)?.proxy;
  return proxy?.type === 'sidecar' && !proxy.explicit;
}

/** The services, and hosts that nobody knows at each of their ports. */
function everywhere(services: readonly Target[]): Target[] {
  const ports = new Set([80, anyPort, ...services.map(({ port }) => port)]);
  return [...services, ...everyPort(unknownHost, ports), { scheme: 'https', host: unknownHost, port: 443 }];
}

/** It has become somebody else, to whoever it calls: another identity, or it gained or lost its proxy. */
function isAnother(before: Model, after: Model, key: string): boolean {
  const [old, now] = [before, after].map((model) => {
    const at = model.workloads.get(key);
    return at?.proxy ? identityOf(model.mesh.trustDomain, at) : undefined;
  });
  return old !== now;
}

/** What the requests of senders through their own proxies may meet, as one model has it. */
class Ways {
  /** Workloads whose proxies judge what comes in otherwise than before, and gateways that pass on to them. */
  readonly servers: ReadonlySet<string>;
  readonly #model: Model;
  readonly #other: Model;
  readonly #touched: ReadonlyMap<string, TouchedProxy>;
  readonly #clusters = new Map<DecodedResources, ReadonlySet<string>>();

  constructor(
    model: Model,
    other: Model,
    touched: ReadonlyMap<string, TouchedProxy>,
    servers: ReadonlySet<string>,
  ) {
    this.#model = model;
    this.#other = other;
    this.#touched = touched;
    this.servers = servers;
  }

  from({ first }: SenderClass): readonly Target[] {
    const { key } = first.at;
    const [own, others] = [this.#model, this.#other].map((model) => model.workloads.get(key)?.proxy);
    const changes = this.#touched.get(key)?.changes ?? none;
    if (!own || !others || (changes === none && this.servers.size === 0)) return [];
    const resources = this.#model.resources(own);
    const side: Side = { model: this.#model, resources, other: this.#other.resources(others) };
    return proxyTargets(side, own, changes, this.#clustersOf(resources));
  }

  #clustersOf(resources: DecodedResources): ReadonlySet<string> {
    if (this.servers.size === 0) return noClusters;
    return getOrMake(this.#clusters, resources, () => clustersTo(this.#model, resources, this.servers));
  }
}

const none: readonly ResourceChange[] = [];
const noClusters: ReadonlySet<string> = new Set();
