import { holdsLabels } from '../kit/labels.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { objectsOfKind } from '../model/model-objects.ts';
import { suggest } from './suggest.ts';
import type { Unanswerable } from './unanswerable.ts';

/** Who makes the request: a workload of the mesh, or a client outside that calls a gateway. */
export interface Caller {
  readonly outside: boolean;
  /** Of a client outside: the gateway. */
  readonly at: ModelWorkload;
}

type Found<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Unanswerable };

/** The word for whichever gateway takes traffic from outside. */
const ingress = 'ingress';
const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

export function findCaller(model: Model, from: string): Found<Caller> {
  const all = [...model.workloads.values()];
  const gateways = all.filter(isGateway);
  if (from === ingress) {
    const known = gateways.filter(({ workload }) => workload.labels.istio === 'ingressgateway');
    const chosen =
      known.length > 0 ? known : gateways.filter(({ workload }) => workload.labels.istio !== 'egressgateway');
    return one(chosen, from, all);
  }
  const byAddress = all.filter(({ workload }) => workload.addresses.includes(from));
  if (byAddress.length > 0) return one(byAddress, from, all);
  for (const namesOf of [ownNames, givenNames]) {
    const named = all.filter((candidate) => isNamed(candidate, from, namesOf(candidate)));
    if (named.length > 0) return one(named, from, all);
  }
  const served = gatewaysOf(model, from, gateways);
  return one(served, from, all);
}

function isGateway({ proxy }: ModelWorkload): boolean {
  return proxy?.type === 'router';
}

/** Copies of one thing are as good as each other; things of several namespaces are not. */
function one(found: readonly ModelWorkload[], from: string, all: readonly ModelWorkload[]): Found<Caller> {
  const inDefault = found.filter(({ workload }) => workload.namespace === 'default');
  const chosen = inDefault.length > 0 ? inDefault : found;
  const groups = Map.groupBy(chosen, nameOf);
  const [first] = chosen;
  if (first && groups.size === 1) return { ok: true, value: { outside: isGateway(first), at: first } };
  if (first) return unknown(`${from} can be ${[...groups.keys()].join(', ')}; say which`);
  const names = all.flatMap((candidate) => [...ownNames(candidate), ...givenNames(candidate)]);
  const near = suggest(from, names);
  const what = from === ingress ? 'there is no gateway here' : `there is no workload ${from}`;
  const whole = [...new Set(all.map(nameOf))].slice(0, 10);
  if (near.length > 0) return unknown(`${what}; did you mean ${near.join(', ')}?`);
  return unknown(whole.length > 0 ? `${what}; there are ${whole.join(', ')}` : `${what}, nor any other`);
}

function unknown(message: string): Found<Caller> {
  return { ok: false, error: { code: 'CallerUnknown', message } };
}

/** What people call a workload: the thing behind it, in its namespace. */
export function nameOf({ workload }: ModelWorkload): string {
  return `${workload.controller ?? workload.name}.${workload.namespace}`;
}

function ownNames({ workload }: ModelWorkload): string[] {
  return [workload.name, ...(workload.controller ? [workload.controller] : [])];
}

function givenNames({ workload: { labels } }: ModelWorkload): string[] {
  return [
    'service.istio.io/workload-name',
    'service.istio.io/canonical-name',
    'app',
    gatewayNameLabel,
  ].flatMap((label) => labels[label] ?? []);
}

function isNamed({ workload }: ModelWorkload, from: string, names: readonly string[]): boolean {
  const { namespace } = workload;
  return names.some(
    (name) => from === name || from === `${name}.${namespace}` || from === `${namespace}/${name}`,
  );
}

/** Gateways by the name of a Gateway object that they serve. */
function gatewaysOf(model: Model, from: string, gateways: readonly ModelWorkload[]): ModelWorkload[] {
  for (const { metadata, spec } of objectsOfKind(model.objects, 'networking.istio.io/Gateway')) {
    if (from !== metadata.name && from !== `${metadata.name}.${metadata.namespace}`) continue;
    const { selector = {} } = (spec ?? {}) as { selector?: Record<string, string> };
    return gateways.filter(({ workload }) => holdsLabels(workload.labels, selector));
  }
  return [];
}
