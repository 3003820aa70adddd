import { findCaller } from '../../../explain/caller.ts';
import type { Question } from '../../../explain/question.ts';
import { parseTarget, resolveTarget } from '../../../explain/target.ts';
import type { Model } from '../../../model/model.ts';
import { objectsOfKind } from '../../../model/model-objects.ts';
import type { Endpoint } from '../../../registry/service.ts';
import type { Journey } from '../../../request-space/journey.ts';
import { endpointsByWorkload, endpointsKind } from '../../../snapshot/kinds.ts';
import type { ExplicitCapture, MeshProxy } from '../../../snapshot/proxy.ts';
import type { Application } from './application.ts';
import { loopbackPorts } from './loopback-ports.ts';

/** Envoys of one run at most: each is a process of some 40 MB. */
export const mostProxies = 24;

/** Workloads that requests need, and what each calls: `http host:port`, or `bytes host:port` where no HTTP proxy could be asked. */
export type Involved = ReadonlyMap<string, ReadonlySet<string>>;

/** Who takes part in a request: who sends it, whom it passes, where it may end, and everybody else behind the service it names. */
export function involvedIn(model: Model, question: Question, { passed, leaves }: Journey): Involved {
  const found = new Map<string, Set<string>>();
  const add = (key: string): Set<string> => {
    const calls = found.get(key) ?? new Set<string>();
    found.set(key, calls);
    return calls;
  };
  const caller = findCaller(model, question.from);
  const url = parseTarget(question.url);
  if (!caller.ok || !url.ok) return found;
  const { at, outside } = caller.value;
  const calls = add(at.key);
  const { service } = resolveTarget(model, url.value.host, outside ? '' : at.workload.namespace);
  if (service && !outside) {
    const spoken = url.value.scheme === 'http' ? 'http' : 'bytes';
    calls.add(`${spoken} ${service.hostname}:${url.value.port}`);
    const key = `${service.namespace}/${service.hostname}`;
    for (const one of model.world.get(endpointsKind, key)?.endpoints ?? [])
      if (one.servicePort === url.value.port) add(`${one.namespace}/${one.workload}`);
  }
  for (const { hop } of passed) add(hop.at.key);
  for (const { workload } of leaves) if (workload !== undefined) add(workload);
  for (const key of found.keys()) if (!model.workloads.has(key)) found.delete(key);
  return found;
}

export function proxiesAmong(model: Model, keys: Iterable<string>): number {
  return [...keys].filter((key) => model.workloads.get(key)?.proxy).length;
}

export interface Allocation {
  readonly captures: ReadonlyMap<string, ExplicitCapture>;
  /** `address:port` of endpoints → the loopback port that stands for it. */
  readonly places: ReadonlyMap<string, number>;
}

/** Gives each workload loopback ports for what it listens on and calls. `applications`: by workload. */
export async function allocate(
  model: Model,
  involved: Involved,
  applications: ReadonlyMap<string, Application>,
): Promise<Allocation> {
  const captures = new Map<string, ExplicitCapture>();
  const places = new Map<string, number>();
  const all = [...involved].map(([key, calls]) => ({ key, calls, endpoints: endpointsOf(model, key) }));
  const ports = await loopbackPorts(
    all.reduce((sum, { calls, endpoints }) => sum + calls.size + endpoints.length + 1, 0) +
      all.length * serverPorts(model).length,
  );
  const take = (): number => ports.pop() as number;
  for (const { key, calls, endpoints } of all) {
    const app = applications.get(key)?.port ?? 0;
    const { proxy } = model.workloads.get(key) ?? {};
    const local = new Map<number, number>();
    const listenFor = (port: number): number => {
      const known = local.get(port) ?? take();
      local.set(port, known);
      return known;
    };
    if (proxy?.type === 'router') {
      const served = Object.keys(proxy.explicit?.gateway ?? {}).map(Number);
      for (const port of served.length > 0 ? served : serverPorts(model)) listenFor(port);
    }
    for (const { address, additionalAddresses = [], port, servicePort } of endpoints)
      for (const one of [address, ...additionalAddresses])
        places.set(`${one}:${port}`, proxy ? listenFor(servicePort) : app);
    if (!proxy) continue;
    captures.set(key, {
      outbound: Object.fromEntries(portsOf(proxy, calls).map((call) => [call, take()])),
      inbound:
        proxy.type === 'router'
          ? []
          : [...local].map(([servicePort, listen]) => ({
              servicePort,
              // Where the kernel redirects, policies know the port that the application listens on.
              ...(proxy.explicit ? {} : workloadPortOf(endpoints, servicePort)),
              listen,
              app,
            })),
      httpProxy: proxy.type === 'router' ? 0 : take(),
      ...(proxy.type === 'router'
        ? { gateway: Object.fromEntries([...local].map(([port, listen]) => [String(port), listen])) }
        : {}),
    });
  }
  return { captures, places };
}

/** Where the kernel redirects, applications name hosts themselves: as to an HTTP proxy. Ports of their own put the full name. */
function portsOf(proxy: MeshProxy, calls: ReadonlySet<string>): string[] {
  const all = [...calls].map((call) => call.split(' ') as [spoken: string, to: string]);
  const needed = all.filter(([spoken]) => spoken === 'bytes' || proxy.explicit);
  return [...new Set(needed.map(([, to]) => to))];
}

function workloadPortOf(endpoints: readonly Endpoint[], servicePort: number): { workloadPort?: number } {
  const workloadPort = endpoints.find((one) => one.servicePort === servicePort)?.port;
  return workloadPort === undefined ? {} : { workloadPort };
}

function endpointsOf({ world }: Model, key: string): Endpoint[] {
  return world
    .list(endpointsByWorkload, key)
    .flatMap((service) => world.get(endpointsKind, service)?.endpoints ?? [])
    .filter(({ namespace, workload }) => `${namespace}/${workload}` === key);
}

/** Ports of all Gateways' servers and listeners. */
function serverPorts(model: Model): number[] {
  const istio = [...objectsOfKind(model.objects, 'networking.istio.io/Gateway')].flatMap(({ spec }) =>
    ((spec as { servers?: { port?: { number?: number } }[] } | undefined)?.servers ?? []).flatMap(
      ({ port }) => port?.number ?? [],
    ),
  );
  const api = [...objectsOfKind(model.objects, 'gateway.networking.k8s.io/Gateway')].flatMap(({ spec }) =>
    ((spec as { listeners?: { port?: number }[] } | undefined)?.listeners ?? []).flatMap(
      ({ port }) => port ?? [],
    ),
  );
  return [...new Set([...istio, ...api])];
}
