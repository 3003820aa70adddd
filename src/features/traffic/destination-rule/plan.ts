import type { Origin } from '../../../config/origin.ts';
import { captureMode, proxyType } from '../../../plan/attributes.ts';
import { type ClusterPlan, type HashPlan, hashSlot, proxyProtocolSlot } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { maglevTableSize, ringSize } from './hash-sizes.ts';
import { localitySetting } from './locality-setting.ts';
import { meshOrigin, policyFor, type TrafficPolicy } from './policy.ts';
import {
  keepaliveSlot,
  type LoadBalancerPlan,
  loadBalancerSlot,
  localityChoiceSlot,
  warmupSlot,
} from './policy-plan.ts';
import { keepalive, planOutlier, planPool, planRetryBudget } from './pool-plan.ts';
import { appliedRulesSlot, destinationRuleFor, ownPoolSlot } from './rules.ts';
import { planTls, withCredential } from './tls-plan.ts';

/** Everything that rules and the mesh's defaults say of one cluster. */
export function decorateCluster(view: View, plan: ClusterPlan): void {
  const { service } = plan;
  const pool = read(plan, ownPoolSlot);
  if (pool) planPool(plan, pool, originOf(plan, ownPoolSlot) ?? plan.origin);
  else if (plan.direction === 'inbound') planServerPool(view, plan);
  if (plan.direction !== 'outbound' || !service) return;
  const defaultKeepalive = view.mesh('tcpKeepalive');
  if (defaultKeepalive) fill(plan, keepaliveSlot, keepalive(defaultKeepalive), meshOrigin('tcpKeepalive'));
  const rules = read(plan, appliedRulesSlot) ?? '';
  const { policy, origins } = policyFor(view, rules, String(service.port), service.subset) ?? {
    policy: {},
    origins: {},
  };
  const at = (part: keyof typeof origins): Origin => origins[part] ?? plan.origin;
  const http = policy.connectionPool?.http;
  chooseProtocol(view, plan, http);
  if (policy.loadBalancer) planLoadBalancer(plan, policy.loadBalancer, at('loadBalancer'));
  planLocalityChoice(view, plan, policy.loadBalancer, at('loadBalancer'));
  if (!choosesBalancer(policy.loadBalancer)) keepClients(view, plan);
  if (policy.connectionPool) planPool(plan, policy.connectionPool, at('connectionPool'));
  if (policy.retryBudget) planRetryBudget(plan, policy.retryBudget, at('retryBudget'));
  if (policy.outlierDetection) planOutlier(plan, policy.outlierDetection, at('outlierDetection'));
  if (policy.proxyProtocol)
    fill(plan, proxyProtocolSlot, policy.proxyProtocol.version ?? 'V1', at('proxyProtocol'));
  if (policy.tls) planTls(view, plan, withCredential(view, rules, policy.tls), at('tls'));
  if (policy.loadBalancer?.simple === 'PASSTHROUGH') passThrough(view, plan);
}

/**
 * Limits of connections from a service's sidecar to its application: those that its callers are given, unless a Sidecar says otherwise.
 * @see https://github.com/istio/istio/pull/47313
 */
function planServerPool(view: View, plan: ClusterPlan): void {
  const { service } = plan;
  const rules = service ? view.call(destinationRuleFor, service.hostname, service.namespace) : '';
  if (!service || rules === '') return;
  const { policy, origins } = policyFor(view, rules, String(service.port), '') ?? { policy: {}, origins: {} };
  const origin = origins.connectionPool;
  if (policy.connectionPool && origin?.kind === 'DestinationRule')
    planPool(plan, policy.connectionPool, origin);
}

type Http = NonNullable<NonNullable<TrafficPolicy['connectionPool']>['http']>;

/** HTTP/1.1 is upgraded where the rule says so, or the mesh does and the rule does not object. */
function chooseProtocol(view: View, plan: ClusterPlan, http: Http | undefined): void {
  if (plan.protocol === 'tcp') return;
  const wish = http?.h2UpgradePolicy ?? 'DEFAULT';
  const upgrade = wish === 'DEFAULT' ? view.mesh('h2UpgradePolicy') === 'UPGRADE' : wish === 'UPGRADE';
  if (http?.useClientProtocol && wish !== 'UPGRADE') plan.protocol = 'http-auto';
  else if (plan.protocol === 'http1' && upgrade) plan.protocol = 'http2';
}

type LoadBalancer = NonNullable<TrafficPolicy['loadBalancer']>;

function choosesBalancer(settings: LoadBalancer | undefined): boolean {
  return Boolean(settings?.consistentHash) || !['UNSPECIFIED', undefined].includes(settings?.simple);
}

/** A Service with `sessionAffinity: ClientIP`: what one address sends keeps to one endpoint, unless a rule balances otherwise. */
function keepClients(view: View, plan: ClusterPlan): void {
  const service = plan.service && view.get(serviceKind, `${plan.service.namespace}/${plan.service.hostname}`);
  if (!service?.sessionAffinity) return;
  const origin = { ...service.origin, path: 'spec.sessionAffinity' };
  fill(plan, loadBalancerSlot, { type: 'ring-hash', minimumSize: ringSize(undefined) }, origin);
  fill(plan, hashSlot, { type: 'source-ip' }, origin);
}

/** How the places of endpoints weigh in: by the shares of `distribute`, or by Envoy's zone-aware routing. */
function planLocalityChoice(
  view: View,
  plan: ClusterPlan,
  settings: LoadBalancer | undefined,
  origin: Origin,
): void {
  const zoneAware =
    settings?.zoneAwareLbSetting ?? (settings?.localityLbSetting ? null : view.mesh('zoneAwareLbSetting'));
  const from = (own: boolean, name: string): Origin =>
    own ? { ...origin, path: `${origin.path}.${name}` } : meshOrigin(name);
  if (zoneAware?.enabled)
    fill(
      plan,
      localityChoiceSlot,
      { type: 'zone-aware', minClusterSize: Number(zoneAware.minClusterSize ?? 6) },
      from(settings?.zoneAwareLbSetting !== undefined, 'zoneAwareLbSetting'),
    );
  else if (sharesPlaces(view, plan, settings))
    fill(
      plan,
      localityChoiceSlot,
      { type: 'shares' },
      from(settings?.localityLbSetting !== undefined, 'localityLbSetting.distribute'),
    );
}

/** Of endpoints that are delivered only: others are in no place, and Envoy would take them for places of weight 0. */
function sharesPlaces(view: View, { service, discovery }: ClusterPlan, settings: LoadBalancer | undefined) {
  if (!service || discovery.type !== 'eds') return false;
  const known = view.get(serviceKind, `${service.namespace}/${service.hostname}`);
  return (localitySetting(view, known, settings)?.distribute ?? []).length > 0;
}

function planLoadBalancer(plan: ClusterPlan, settings: LoadBalancer, origin: Origin): void {
  const { consistentHash, warmup } = settings;
  const balancer: LoadBalancerPlan = consistentHash
    ? consistentHash.maglev
      ? { type: 'maglev', tableSize: maglevTableSize(consistentHash.maglev.tableSize) }
      : {
          type: 'ring-hash',
          minimumSize: ringSize(consistentHash.ringHash?.minimumRingSize || consistentHash.minimumRingSize),
        }
    : simple(settings.simple);
  fill(plan, loadBalancerSlot, balancer, origin);
  const hash = consistentHash && planHash(consistentHash);
  if (hash) fill(plan, hashSlot, hash, { ...origin, path: `${origin.path}.consistentHash` });
  const windowMs = parseDuration(warmup?.duration ?? settings.warmupDurationSecs);
  if (windowMs)
    fill(
      plan,
      warmupSlot,
      { windowMs, minimumPercent: warmup?.minimumPercent ?? 10, aggression: warmup?.aggression ?? 1 },
      { ...origin, path: `${origin.path}.warmup` },
    );
}

function simple(name: string | undefined): LoadBalancerPlan {
  switch (name) {
    case 'ROUND_ROBIN':
      return { type: 'round-robin' };
    case 'RANDOM':
      return { type: 'random' };
    case 'PASSTHROUGH':
      return { type: 'passthrough' };
    default:
      return { type: 'least-request' };
  }
}

function planHash(
  hash: NonNullable<NonNullable<TrafficPolicy['loadBalancer']>['consistentHash']>,
): HashPlan | undefined {
  if (hash.httpHeaderName) return { type: 'header', name: hash.httpHeaderName };
  if (hash.httpQueryParameterName) return { type: 'query', name: hash.httpQueryParameterName };
  if (hash.useSourceIp) return { type: 'source-ip' };
  if (!hash.httpCookie) return undefined;
  const { name, path, ttl, attributes } = hash.httpCookie;
  const ttlMs = parseDuration(ttl);
  return {
    type: 'cookie',
    name,
    path: path ?? '',
    ...(ttlMs === undefined ? {} : { ttlMs }),
    // Envoy says HttpOnly of every cookie that it makes.
    attributes: (attributes ?? [])
      .filter(({ name: attribute }) => attribute.toLowerCase() !== 'httponly')
      .map((attribute) => [attribute.name, attribute.value ?? ''] as const),
  };
}

/** No balancing at all: connections go where the application meant them, if the proxy knows. */
function passThrough(view: View, plan: ClusterPlan): void {
  const captured = view.attribute(captureMode);
  if (plan.discovery.type === 'eds' && captured !== 'explicit' && view.attribute(proxyType) === 'sidecar')
    plan.discovery = { type: 'original-destination' };
}
