import type { ConfigObject } from '../../config/object.ts';
import type { Origin } from '../../config/origin.ts';
import { ownDemand, parseDemand } from '../../features/security/peer-authentication/schema.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { Model, ModelWorkload } from '../../model/model.ts';
import { objectsOfKind } from '../../model/model-objects.ts';
import type { MeshService } from '../../registry/service.ts';
import { allServices, endpointsKind, serviceKind } from '../../snapshot/kinds.ts';
import { inspect } from '../../snapshot/rebuild.ts';
import { gatewaysOf } from './gateways-of.ts';
import { attachedTo, type Chosen, policiesOf, policiesOfKind } from './policies-of.ts';

/** An object that has a say, where it stands, and what it says in a few words. */
export interface Applies {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `file:line:column`; absent where the object came from no file. */
  readonly at?: string;
  readonly says?: string;
}

export interface DescribedService {
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
  readonly endpoints: readonly {
    readonly workload: string;
    readonly address: string;
    readonly healthy: boolean;
    readonly mtls: boolean;
  }[];
  readonly routing: readonly Applies[];
  readonly policies: readonly Applies[];
}

export interface DescribedWorkload {
  readonly workload: string;
  readonly serviceAccount: string;
  /** SPIFFE. */
  readonly identity: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `sidecar`, `router`, …; absent: it has no proxy. */
  readonly proxy?: string;
  readonly services: readonly string[];
  /** What it demands of its callers, and who said so. */
  readonly mtls?: {
    readonly mode: string;
    readonly by: Applies;
    readonly ports: Readonly<Record<string, string>>;
  };
  /** Who may call, in the order in which it is decided. */
  readonly callers: readonly string[];
  readonly policies: readonly Applies[];
  /** Of the proxy of a gateway: the Gateways that it serves, and the routes bound to them. */
  readonly gateways?: readonly Applies[];
}

type Spec = Readonly<Record<string, never>>;

interface Destinations {
  readonly hosts?: readonly string[];
  readonly host?: string;
  readonly gateways?: readonly string[];
  readonly subsets?: readonly { readonly name?: string }[];
  readonly trafficPolicy?: object;
  readonly parentRefs?: readonly { readonly name?: string }[];
  readonly action?: string;
  readonly rules?: readonly Rule[];
}

interface Rule {
  readonly from?: readonly { readonly source?: Readonly<Record<string, readonly string[]>> }[];
  readonly to?: readonly { readonly operation?: Readonly<Record<string, readonly string[]>> }[];
  readonly backendRefs?: readonly { readonly name?: string; readonly namespace?: string }[];
}

/** Services of a name: `reviews`, `reviews.default` or a full host. Throws `ServiceUnknown`. */
export function describeServices(
  model: Model,
  name: string,
  namespace: string | undefined,
): DescribedService[] {
  const all = model.world.list(allServices, '').flatMap((key) => model.world.get(serviceKind, key) ?? []);
  const found = all.filter(
    (service) =>
      (service.hostname === name ||
        service.name === name ||
        `${service.name}.${service.namespace}` === name) &&
      (namespace === undefined || service.namespace === namespace),
  );
  if (found.length > 0) return found.map((service) => describeService(model, service));
  throw new CodedError(
    'ServiceUnknown',
    `there is no service ${name}; there are ${all.map((one) => `${one.name}.${one.namespace}`).join(', ') || 'none'}`,
  );
}

function describeService(model: Model, service: MeshService): DescribedService {
  const key = `${service.namespace}/${service.hostname}`;
  const endpoints = model.world.get(endpointsKind, key)?.endpoints ?? [];
  const workloads = endpoints.map(({ namespace, workload, labels }): Chosen => {
    const isRouter = model.workloads.get(`${namespace}/${workload}`)?.proxy?.type === 'router';
    return { namespace, labels, isRouter };
  });
  const policies = [
    ...attachedTo(model, service.namespace, service.name),
    ...workloads.flatMap((one) => policiesOf(model, one)),
  ];
  return {
    service: service.hostname,
    ports: service.ports.map(({ name, port, protocol }) => ({ name, port, protocol })),
    endpoints: endpoints.map(({ workload, address, port, healthy, tlsMode }) => ({
      workload,
      address: `${address}:${port}`,
      healthy,
      mtls: tlsMode === 'istio',
    })),
    routing: routingOf(model, service),
    policies: uniquePolicies(policies.map(({ object, says }) => applies(model, object, says))),
  };
}

function routingOf(model: Model, service: MeshService): Applies[] {
  const isMeant = (host: string | undefined, from: string): boolean => {
    // What takes every host says nothing of this one.
    if (host === undefined || host === '*') return false;
    const full = host.includes('.') ? host : `${host}.${from}.svc.${model.mesh.domainSuffix}`;
    const name =
      full.endsWith(`.${model.mesh.domainSuffix}`) || !full.match(/^[^.]+\.[^.]+(\.svc)?$/)
        ? full
        : `${full.replace(/\.svc$/, '')}.svc.${model.mesh.domainSuffix}`;
    return name === service.hostname || (name.startsWith('*.') && service.hostname.endsWith(name.slice(1)));
  };
  const out: Applies[] = [];
  const each = (
    kind: string,
    take: (spec: Destinations, namespace: string, text: string) => string | undefined,
  ): void => {
    for (const object of objectsOfKind<ConfigObject<Spec>>(model.objects, kind)) {
      const spec = (object.spec ?? {}) as Destinations;
      const says = take(spec, object.metadata.namespace ?? '', JSON.stringify(spec));
      if (says !== undefined) out.push(applies(model, object, says));
    }
  };
  each('networking.istio.io/VirtualService', (spec, namespace, text) => {
    const hosts = spec.hosts ?? [];
    const gateways = (spec.gateways ?? []).filter((one) => one !== 'mesh');
    const at = gateways.length > 0 ? ` at the gateway ${gateways.join(', ')}` : '';
    if (hosts.some((host) => isMeant(host, namespace))) return `routes requests to it${at}`;
    const destinations = [...text.matchAll(/"destination":\{[^}]*?"host":"([^"]+)"/g)].map(
      ([, host]) => host,
    );
    return destinations.some((host) => isMeant(host, namespace))
      ? `sends requests for ${hosts.join(', ')} to it${at}`
      : undefined;
  });
  each('networking.istio.io/DestinationRule', (spec, namespace) => {
    if (!isMeant(spec.host, namespace)) return undefined;
    const subsets = (spec.subsets ?? []).map(({ name }) => name);
    return (
      [
        ...(subsets.length > 0 ? [`subsets ${subsets.join(', ')}`] : []),
        ...(spec.trafficPolicy ? [`sets ${Object.keys(spec.trafficPolicy).join(', ')}`] : []),
      ].join('; ') || 'sets nothing'
    );
  });
  for (const kind of ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'])
    each(`gateway.networking.k8s.io/${kind}`, (spec, namespace) => {
      const refs = (spec.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs);
      const isBackend = refs.some(
        (ref) => ref.name === service.name && (ref.namespace ?? namespace) === service.namespace,
      );
      return isBackend
        ? `sends requests of ${(spec.parentRefs ?? []).map(({ name }) => name).join(', ')} to it`
        : undefined;
    });
  return out;
}

/** Workloads of a name: a copy (`reviews-v1-0`), or all copies of a workload (`reviews-v1`). Throws `WorkloadUnknown`. */
export function describeWorkloads(
  model: Model,
  name: string,
  namespace: string | undefined,
): DescribedWorkload[] {
  const all = [...model.workloads.values()];
  const bare = name.replace(/^pod\//, '');
  const within = ({ workload }: ModelWorkload) => namespace === undefined || workload.namespace === namespace;
  const is = ({ workload }: ModelWorkload) =>
    [
      workload.name,
      `${workload.name}.${workload.namespace}`,
      `${workload.namespace}/${workload.name}`,
    ].includes(bare);
  const copies = ({ workload }: ModelWorkload) =>
    (workload.controller ?? workload.labels['service.istio.io/workload-name']) === bare;
  const exact = all.filter((one) => within(one) && is(one));
  const found = exact.length > 0 ? exact : all.filter((one) => within(one) && copies(one));
  if (found.length > 0) return found.map((one) => describeWorkload(model, one));
  throw new CodedError(
    'WorkloadUnknown',
    `there is no workload ${name}; there are ${all.map(({ workload }) => `${workload.name}.${workload.namespace}`).join(', ') || 'none'}`,
  );
}

function describeWorkload(model: Model, { key, workload, proxy }: ModelWorkload): DescribedWorkload {
  const services = model.world.list(allServices, '').flatMap((service) => {
    const found = model.world.get(endpointsKind, service)?.endpoints ?? [];
    return found.some((one) => `${one.namespace}/${one.workload}` === key)
      ? [model.world.get(serviceKind, service)?.hostname ?? service]
      : [];
  });
  const isRouter = proxy?.type === 'router';
  const chosen: Chosen = { namespace: workload.namespace, labels: workload.labels, isRouter };
  const policies = policiesOf(model, chosen).map(({ object, says }) => applies(model, object, says));
  const gateways = isRouter ? gatewaysOf(model, workload.namespace, workload.labels) : [];
  const demand =
    // What a gateway takes from outside its servers say, no PeerAuthentication.
    proxy &&
    !isRouter &&
    parseDemand(inspect(model.world, model.mesh, proxy, (view) => view.call(ownDemand)));
  return {
    workload: key,
    serviceAccount: workload.serviceAccount,
    identity: `spiffe://${model.mesh.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`,
    labels: workload.labels,
    ...(proxy ? { proxy: proxy.type } : {}),
    services: [...new Set(services)],
    ...(demand
      ? {
          mtls: {
            mode: demand.mode,
            by: ofOrigin(model, demand.origin),
            ports: Object.fromEntries(Object.entries(demand.ports).map(([port, { mode }]) => [port, mode])),
          },
        }
      : {}),
    callers: callersOf(model, chosen),
    policies,
    ...(isRouter ? { gateways: gateways.map(({ object, says }) => applies(model, object, says)) } : {}),
  };
}

/** Istio's order: CUSTOM, DENY, ALLOW. */
function callersOf(model: Model, workload: Chosen): string[] {
  const all = policiesOfKind(model, 'security.istio.io/AuthorizationPolicy', workload).map(
    ({ object }) => object,
  );
  const of = (action: string) =>
    all.filter(({ spec }) => ((spec as Destinations)?.action ?? 'ALLOW') === action);
  const words = (object: ConfigObject): string[] =>
    ((object.spec as Destinations)?.rules ?? []).map(ruleWords);
  const line = (verb: string) => (object: ConfigObject) => {
    const rules = words(object);
    return rules.map((rule) => `${verb} ${rule} (${object.metadata.name})`);
  };
  const allow = of('ALLOW');
  return [
    ...of('CUSTOM').flatMap(line('asks an external service about')),
    ...of('DENY').flatMap(line('refuses')),
    ...allow.flatMap((object) =>
      words(object).length === 0
        ? [`allows nothing (${object.metadata.name} has no rules)`]
        : line('allows')(object),
    ),
    allow.length > 0
      ? 'refuses everybody else'
      : 'allows everybody that was not refused: no ALLOW policy selects it',
  ];
}

function ruleWords({ from = [], to = [] }: Rule): string {
  const list = (fields: Readonly<Record<string, readonly string[]>> = {}) =>
    Object.entries(fields)
      .map(([name, values]) => `${name} ${values.join(' or ')}`)
      .join(' and ');
  const who = from.map(({ source }) => list(source)).join('; or ');
  const what = to.map(({ operation }) => list(operation)).join('; or ');
  return [who === '' ? 'anybody' : who, ...(what === '' ? [] : [`for ${what}`])].join(' ');
}

function uniquePolicies(all: readonly Applies[]): Applies[] {
  return [...new Map(all.map((one) => [`${one.kind}/${one.namespace}/${one.name}`, one])).values()];
}

function applies(model: Model, object: ConfigObject, says: string): Applies {
  const { namespace = '', name } = object.metadata;
  return { ...ofOrigin(model, { kind: object.kind, namespace, name, path: '' }), says };
}

function ofOrigin(model: Model, origin: Origin): Applies {
  const position = model.positionOf(origin);
  return {
    kind: origin.kind,
    namespace: origin.namespace,
    name: origin.name,
    ...(position ? { at: `${position.file}:${position.line}:${position.column}` } : {}),
  };
}
