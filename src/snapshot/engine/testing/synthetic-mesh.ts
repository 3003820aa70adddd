import { defineAttribute } from '../../attribute.ts';
import { defineCollection, defineQuery, type Query } from '../../query.ts';
import type { Resource } from '../../resource.ts';
import { testResource } from '../../testing.ts';
import type { View } from '../../view.ts';
import { defineIndex, defineKindToken } from '../../world.ts';

/** A small feature set that reads the world in every way that real features do, and misbehaves in every way that they may. */

export interface Host {
  readonly namespace: string;
  readonly exportTo: string;
  readonly port: number;
  /** Answers as another host does; may form a circle. */
  readonly alias?: string;
  /** Several hosts may claim one. */
  readonly nickname?: string;
}
export interface Rule {
  readonly host: string;
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  readonly to: string;
  readonly boom?: boolean;
  readonly note?: string;
}
export interface Traffic {
  readonly host: string;
  readonly namespace: string;
  readonly byZone: boolean;
  readonly policy: string;
}
export interface Addresses {
  readonly ips: readonly string[];
}
export interface Policy {
  readonly namespace: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly rule: string;
}
/** While it exists with `broken`, the key list of the virtual hosts throws. */
export interface Switch {
  readonly broken: boolean;
}

export const hostKind = defineKindToken<Host>('syn-host');
export const ruleKind = defineKindToken<Rule>('syn-rule');
export const trafficKind = defineKindToken<Traffic>('syn-traffic');
export const addressesKind = defineKindToken<Addresses>('syn-addresses');
export const policyKind = defineKindToken<Policy>('syn-policy');
export const switchKind = defineKindToken<Switch>('syn-switch');

const allHosts = defineIndex('syn-hosts', hostKind, () => ['']);
const hostsByNamespace = defineIndex('syn-hosts-by-namespace', hostKind, (host) => [host.namespace]);
const rulesByHost = defineIndex('syn-rules-by-host', ruleKind, (rule) => [rule.host]);
const rulesByTarget = defineIndex('syn-rules-by-target', ruleKind, (rule) => [rule.to]);
const trafficByHost = defineIndex('syn-traffic-by-host', trafficKind, (traffic) => [traffic.host]);
const policiesByNamespace = defineIndex('syn-policies', policyKind, (policy) => [policy.namespace]);

const namespaceOf = defineAttribute('syn-namespace', (proxy) => proxy.namespace);
const zoneOf = defineAttribute('syn-zone', (proxy) => proxy.locality.zone);
const idOf = defineAttribute('syn-id', (proxy) => proxy.id);
const vhdsOf = defineAttribute('syn-vhds', (proxy) => proxy.vhds);

const visible = defineQuery('syn-visible', (view, key: string): boolean => {
  const exportTo = view.get(hostKind, key)?.exportTo;
  return exportTo === '*' || (exportTo !== undefined && exportTo === view.attribute(namespaceOf));
});

/** Follows aliases to the host that answers. Hosts for one namespace try to catch what goes wrong. */
const resolve: Query<[string], string> = defineQuery('syn-resolve', (view, key) => {
  const host = view.get(hostKind, key);
  if (host?.alias === undefined) return key;
  if (host.exportTo === '*') return view.call(resolve, host.alias);
  try {
    return view.call(resolve, host.alias);
  } catch {
    return `${key} caught`;
  }
});

const ruleFor = defineQuery('syn-rule-for', (view, host: string): string => {
  for (const key of view.list(rulesByHost, host)) {
    const rule = view.get(ruleKind, key);
    if (rule === undefined) continue;
    if (rule.sourceNamespace !== undefined && rule.sourceNamespace !== view.attribute(namespaceOf)) continue;
    if (rule.sourceLabels === undefined || view.matches(rule.sourceLabels)) return key;
  }
  return '';
});

/** The part of a rule that matters: notes change without consequence. */
const ruleAction = defineQuery('syn-rule-action', (view, key: string) => {
  const rule = view.get(ruleKind, key);
  if (rule?.boom) throw new Error(`rule ${key} is broken`);
  return { to: rule?.to ?? '' };
});

const trafficFor = defineQuery('syn-traffic-for', (view, host: string): string => {
  const keys = view.list(trafficByHost, host);
  if (keys.length < 2) return keys[0] ?? '';
  const namespace = view.attribute(namespaceOf);
  return keys.find((key) => view.get(trafficKind, key)?.namespace === namespace) ?? keys[0] ?? '';
});

const safeAction = defineQuery('syn-safe-action', (view, rule: string): string => {
  try {
    return view.call(ruleAction, rule).to;
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  }
});

const clusterText = defineQuery('syn-cluster-text', (view, host: string, trafficKey: string): string => {
  const traffic = view.get(trafficKind, trafficKey);
  const zone = traffic?.byZone ? view.attribute(zoneOf) : '';
  return `${host}:${view.get(hostKind, host)?.port} ${traffic?.policy ?? ''} ${zone} ${view.mesh('connectTimeout')}`;
});

const hostKeys = defineQuery('syn-host-keys', (view) => view.list(allHosts, ''));

const virtualHostKeys = defineQuery('syn-virtual-host-keys', (view) => {
  if (view.get(switchKind, 'default/keys')?.broken) throw new Error('the key list is broken');
  return view.attribute(vhdsOf) ? view.list(allHosts, '') : [];
});

export const types = {
  cluster: 'syn/cluster',
  endpoints: 'syn/endpoints',
  virtualHost: 'syn/virtual-host',
  nickname: 'syn/nickname',
  policy: 'syn/policy',
} as const;

function item(name: string, compute: (view: View, key: string) => Resource | undefined) {
  return defineQuery(name, compute);
}

export const clusters = defineCollection(
  'syn-clusters',
  hostKeys,
  item('syn-cluster', (view, key) => {
    if (!view.call(visible, key)) return undefined;
    const host = view.call(resolve, key);
    return testResource(
      types.cluster,
      `out|${key}`,
      view.call(clusterText, host, view.call(trafficFor, host)),
    );
  }),
);

export const endpoints = defineCollection(
  'syn-endpoints',
  hostKeys,
  item('syn-endpoint', (view, key) => {
    const found = view.get(addressesKind, key);
    if (found === undefined) return undefined;
    const traffic = view.get(trafficKind, view.call(trafficFor, key));
    const zone = traffic?.byZone ? view.attribute(zoneOf) : 'any';
    return testResource(types.endpoints, key, `${found.ips.join()} ${zone}`);
  }),
);

const virtualHostItem = item('syn-virtual-host', (view, key) => {
  if (!view.call(visible, key)) return undefined;
  const rule = view.call(ruleFor, key);
  if (rule === '') return testResource(types.virtualHost, key, 'direct');
  const { to } = view.call(ruleAction, rule);
  const back = view.list(rulesByTarget, key).join();
  return testResource(types.virtualHost, key, `${to} ${view.call(visible, to)} ${back}`);
});

export const virtualHosts = defineCollection('syn-virtual-hosts', virtualHostKeys, virtualHostItem);
/** For the oracle: the same without the breaking key list. */
export const virtualHostsOfAll = defineCollection('syn-virtual-hosts-of-all', hostKeys, virtualHostItem);

export const nicknames = defineCollection(
  'syn-nicknames',
  defineQuery('syn-nickname-keys', (view) => [
    ...view.list(hostsByNamespace, view.attribute(namespaceOf)),
    ...view.list(hostsByNamespace, view.mesh('rootNamespace')),
  ]),
  item('syn-nickname', (view, key) => {
    const nickname = view.get(hostKind, key)?.nickname;
    return nickname === undefined
      ? undefined
      : testResource(types.nickname, nickname, `${key} ${view.call(safeAction, view.call(ruleFor, key))}`);
  }),
);

export const policies = defineCollection(
  'syn-policies',
  defineQuery('syn-policy-keys', (view) => [view.attribute(namespaceOf), view.mesh('rootNamespace')]),
  item('syn-policy', (view, namespace) => {
    const rules = view
      .list(policiesByNamespace, namespace)
      .map((key) => view.get(policyKind, key))
      .filter((policy) => policy !== undefined && view.matches(policy.selector))
      .map((policy) => policy?.rule);
    return rules.length === 0 ? undefined : testResource(types.policy, namespace, rules.join());
  }),
);

/** Every proxy is a class of its own here, and the type is another collection's too. */
export const inbound = defineCollection(
  'syn-inbound',
  defineQuery('syn-inbound-keys', (view) => [view.attribute(idOf)]),
  item('syn-inbound-cluster', (view, id) =>
    testResource(types.cluster, `in|${id}`, `${view.mesh('accessLogFile')} ${view.attribute(zoneOf)}`),
  ),
);

export const syntheticRoots = [clusters, endpoints, virtualHosts, nicknames, policies, inbound];
