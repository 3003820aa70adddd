import { defineAttribute } from '../snapshot/attribute.ts';
import { configKind } from '../snapshot/kinds.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex, defineKindToken, type KindToken, type WorldChange } from '../snapshot/world.ts';
import { inNamespace, proxyType, usesVhds } from './attributes.ts';

/*
 * Lazy scope: a sidecar that starts with what TCP needs, and is given clusters and virtual hosts when its application first asks
 * for them. What it asked for is an object of the world, so that the compile alone decides what a proxy holds.
 */

/** Label of namespaces, label or annotation of workloads: `true` or `false`. The workload's word counts before the namespace's. */
export const lazyLabel = 'ostria.io/lazy';

/** What the workloads of one identity have asked for; `usageChanges` brings it into the world. */
export interface LazyUsage {
  /** Hosts by their full names, sorted: clusters and virtual hosts are loaded for them. */
  readonly hosts: readonly string[];
  /** `route configuration/authority` of hosts that nobody configured, sorted: passed through where the policy allows. */
  readonly unknown: readonly string[];
  /** They asked for so much that they are better served with everything. */
  readonly full: boolean;
}

type AskedNames = Omit<LazyUsage, 'full'>;

/**
 * What of their resources the workloads of an identity are given for what they asked for: `clusters` with their endpoints first, so that
 * Envoy sets them up while the virtual hosts (`routes`) are still being made.
 */
export type UsageStage = 'clusters' | 'routes';

/** One object for each stage. Key: see `usageIdentity`. */
const askedNamesKinds: Readonly<Record<UsageStage, KindToken<AskedNames>>> = {
  clusters: defineKindToken<AskedNames>('lazy-usage'),
  routes: defineKindToken<AskedNames>('lazy-usage-routes'),
};

export const usageStages: readonly UsageStage[] = ['clusters', 'routes'];

/** Identities that are served with everything: true. An object of its own, or each name asked for would put in doubt whether its proxies are lazy. */
const fullKind = defineKindToken<true>('lazy-full');

/**
 * The world as it is once an identity (see `usageIdentity`) has asked for something. `used` undefined: for nothing. `stages`: what its
 * workloads are given for it; what another stage gave before stays.
 */
export function usageChanges(
  identity: string,
  used: LazyUsage | undefined,
  stages: readonly UsageStage[] = usageStages,
): WorldChange[] {
  const names: AskedNames | undefined = used && { hosts: used.hosts, unknown: used.unknown };
  return [
    ...stages.map((stage) => ({ kind: askedNamesKinds[stage].name, key: identity, value: names })),
    { kind: fullKind.name, key: identity, value: used?.full ? true : undefined },
  ];
}

/** Whose usage counts as one: the workloads of one service account and application. */
export function usageIdentity(
  proxy: Pick<MeshProxy, 'namespace' | 'serviceAccount' | 'labels' | 'name'>,
): string {
  const app = proxy.labels['service.istio.io/canonical-name'] ?? proxy.labels.app ?? proxy.name;
  return `${proxy.namespace}/${proxy.serviceAccount}/${app}`;
}

/** Read by proxies that are lazy alone: one value per application. */
const ownUsage = defineAttribute('lazy-identity', usageIdentity);

/** What the workload itself says: `true`, `false` or '' for nothing. */
export function ownLazyChoice({ labels, metadata }: Pick<MeshProxy, 'labels' | 'metadata'>): string {
  const annotations = metadata.ANNOTATIONS as Readonly<Record<string, unknown>> | undefined;
  const said = String(labels[lazyLabel] ?? annotations?.[lazyLabel] ?? '').toLowerCase();
  return said === 'true' || said === 'false' ? said : '';
}

const ownChoice = defineAttribute('lazy', ownLazyChoice);

const namespaceKind = configKind<unknown>('Namespace');

/** Namespaces that say something, under ''. */
const choosingNamespaces = defineIndex('namespaces-lazy', namespaceKind, ({ metadata }) =>
  metadata.labels?.[lazyLabel] === undefined ? [] : [''],
);

const namespaceChoice = defineQuery('lazy.namespace-choice', (view, key: Key) => {
  const namespace = view.get(namespaceKind, key);
  return { name: namespace?.metadata.name ?? '', lazy: namespace?.metadata.labels?.[lazyLabel] === 'true' };
});

const nothing: AskedNames = { hosts: [], unknown: [] };

/**
 * What the asking proxy's application asked for so far, as far as a stage (`UsageStage`) goes. Call it for lazy proxies only: it is one
 * class per application.
 */
export const usage = defineQuery(
  'lazy.usage',
  (view, stage: Key): AskedNames =>
    view.get(askedNamesKinds[stage as UsageStage], view.attribute(ownUsage)) ?? nothing,
);

/** Whether the asking proxy loads what it needs on the first request. Only sidecars that take virtual hosts one by one can. */
export const isLazy = defineQuery('lazy.is-lazy', (view): boolean => {
  const own = view.attribute(ownChoice);
  if (own === 'false') return false;
  if (own === '' && !chosenForIt(view)) return false;
  if (view.attribute(proxyType) !== 'sidecar' || !view.attribute(usesVhds)) return false;
  return view.get(fullKind, view.attribute(ownUsage)) === undefined;
});

function chosenForIt(view: View): boolean {
  for (const key of view.list(choosingNamespaces, '')) {
    const { name, lazy } = view.call(namespaceChoice, key);
    if (view.attribute(inNamespace(name))) return lazy;
  }
  return view.mesh('lazy');
}
