import { identityOf } from '../explain/hop.ts';
import type { Model } from '../model/model.ts';
import { type Sender, sendersOf } from '../request-space/senders.ts';
import { inboundPorts } from '../request-space/surroundings.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { concernsServer, namedTargets, proxyTargets, type Side } from './proxy-targets.ts';
import { changedServices, knownServices, servedTargets, serviceTargets } from './service-targets.ts';
import { type Target, targetUrl, unknownHost, unservedPort } from './target.ts';
import type { ResourceChange, Touched, TouchedProxy } from './touched.ts';
import { clustersTo, withGateways } from './ways.ts';

/** A host and port that a change may concern, and who sends requests there that it may concern. */
export interface Task {
  readonly target: Target;
  readonly senders: Set<Sender>;
  /** Workloads that are called past every proxy but their own, and the port that they listen on. */
  readonly strangers: Map<string, number>;
}

export function tasksOf(before: Model, after: Model, touched: Touched): Task[] {
  const byKey = new Map(touched.proxies.map((one) => [one.workload.key, one]));
  const senders = sendersOf(after, ({ key }) => byKey.get(key)?.changes).filter(({ at }) =>
    before.workloads.has(at.key),
  );
  const tasks = new Map<string, Task>();
  const taskOf = (target: Target): Task => {
    const url = targetUrl(target);
    let task = tasks.get(url);
    if (!task) {
      task = { target, senders: new Set(), strangers: new Map() };
      tasks.set(url, task);
    }
    return task;
  };
  // Whoever calls a gateway past every other proxy is a client outside.
  const isJudge = (key: string): boolean => {
    const sides = [before, after].map((model) => model.workloads.get(key));
    return sides.every((side) => side) && sides.some((side) => side?.proxy?.type === 'sidecar');
  };
  const servers = [
    ...touched.proxies.filter(concernsServer).map(({ workload }) => workload.key),
    ...touched.added,
    ...touched.removed,
  ];
  for (const model of [before, after]) {
    const opposite = model === before ? after : before;
    const ways = new Ways(model, opposite, byKey, withGateways(model, new Set(servers)));
    for (const sender of senders) for (const target of ways.from(sender)) taskOf(target).senders.add(sender);
    for (const server of ways.servers) {
      const served = servedTargets(server, model);
      for (const { endpointPort, ...target } of served) {
        const task = taskOf(target);
        for (const one of senders) task.senders.add(one);
        if (isJudge(server)) task.strangers.set(server, endpointPort);
      }
      const ports = new Set(served.map(({ endpointPort }) => endpointPort));
      for (const target of isJudge(server) ? unservedTargets(model, server, ports) : [])
        taskOf(target).strangers.set(server, target.port);
    }
  }
  const known = { before: knownServices(before), after: knownServices(after) };
  for (const target of changedServices(known.before, known.after))
    for (const sender of senders) taskOf(target).senders.add(sender);
  const others = senders.filter(({ at }) => isAnother(before, after, at.key));
  for (const target of others.length > 0 ? everywhere(serviceTargets(known.before, known.after)) : [])
    for (const sender of others) taskOf(target).senders.add(sender);
  for (const model of [before, after])
    for (const sender of others) {
      const proxy = model.workloads.get(sender.at.key)?.proxy;
      for (const target of proxy ? namedTargets(model, proxy) : []) taskOf(target).senders.add(sender);
    }
  return [...tasks.values()];
}

/** Ports of a sidecar's workload that no service names: those that its proxy tells apart, and any. In explicit capture there is none. */
function unservedTargets(model: Model, key: string, served: ReadonlySet<number>): Target[] {
  const { proxy, workload } = model.workloads.get(key) ?? {};
  const [host] = workload?.addresses ?? [];
  if (proxy?.type !== 'sidecar' || proxy.explicit || host === undefined) return [];
  const ports = [unservedPort, ...inboundPorts(model.resources(proxy))].filter((port) => !served.has(port));
  return ports.flatMap((port) => (['http', 'tcp'] as const).map((scheme) => ({ scheme, host, port })));
}

/** The services, and hosts that nobody knows at each of their ports. */
function everywhere(services: readonly Target[]): Target[] {
  const ports = new Set([80, ...services.map(({ port }) => port)]);
  const unknown = [...ports].flatMap((port): Target[] => [
    { scheme: 'http', host: unknownHost, port },
    { scheme: 'tcp', host: unknownHost, port },
  ]);
  return [...services, ...unknown, { scheme: 'https', host: unknownHost, port: 443 }];
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
  readonly #targets = new Map<readonly ResourceChange[], Map<DecodedResources, readonly Target[]>>();

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

  /** Proxies that the kernel redirects write the same ports: what concerns one concerns the same hosts for all of its class. */
  from({ at }: Sender): readonly Target[] {
    const [own, others] = [this.#model, this.#other].map((model) => model.workloads.get(at.key)?.proxy);
    const changes = this.#touched.get(at.key)?.changes ?? none;
    if (!own || !others || (changes === none && this.servers.size === 0)) return [];
    const resources = this.#model.resources(own);
    const shared = own.type === 'sidecar' && !own.explicit;
    const found = shared ? this.#targets.get(changes)?.get(resources) : undefined;
    if (found) return found;
    const side: Side = { model: this.#model, resources, other: this.#other.resources(others) };
    const targets = proxyTargets(side, own, changes, this.#clustersOf(resources));
    if (shared) this.#keep(changes, resources, targets);
    return targets;
  }

  #clustersOf(resources: DecodedResources): ReadonlySet<string> {
    if (this.servers.size === 0) return noClusters;
    let clusters = this.#clusters.get(resources);
    if (!clusters) {
      clusters = clustersTo(this.#model, resources, this.servers);
      this.#clusters.set(resources, clusters);
    }
    return clusters;
  }

  #keep(changes: readonly ResourceChange[], resources: DecodedResources, targets: readonly Target[]): void {
    const known = this.#targets.get(changes) ?? new Map<DecodedResources, readonly Target[]>();
    known.set(resources, targets);
    this.#targets.set(changes, known);
  }
}

const none: readonly ResourceChange[] = [];
const noClusters: ReadonlySet<string> = new Set();
