import type { Origin } from '../../../config/origin.ts';
import { proxyType } from '../../../plan/attributes.ts';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import type { FilterChainPlan, ListenerPlan } from '../../../plan/listener-plan.ts';
import { fullNameSlot, type RoutePlan } from '../../../plan/route-plan.ts';
import { defineSlot, fill, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { type ConnectionSettings, connectionSettings, flag, type Json } from './settings.ts';

export const connectionSlot = defineSlot<ConnectionSettings>('connectionSettings');
/** Bytes that may wait on a connection before its reader is slowed down. */
export const bufferLimitSlot = defineSlot<number>('bufferLimit');
/** HTTP/1.1 header names keep their upper and lower case. */
export const headerCaseSlot = defineSlot<true>('preserveHeaderCase');
/** The Host that a route replaces goes along as X-Forwarded-Host. */
export const forwardedHostSlot = defineSlot<true>('forwardedHost');

const origin: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'defaultConfig' };

/** What Envoy's documentation recommends for proxies that face the Internet ("Configuring Envoy as an edge proxy"). */
const edgeProfile: Json = {
  listenerPerConnectionBufferLimitBytes: 32_768,
  clusterPerConnectionBufferLimitBytes: 32_768,
  httpIdleTimeout: '3600s',
  httpRequestTimeout: '300s',
  httpStreamIdleTimeout: '300s',
  httpMaxConcurrentStreams: 100,
  http2InitialStreamWindowSize: 65_536,
  http2InitialConnectionWindowSize: 1_048_576,
  httpHeadersWithUnderscoresAction: 'HEADERS_WITH_UNDERSCORES_REJECT_REQUEST',
  httpMergeSlashes: true,
  httpPathWithEscapedSlashesAction: 'UNESCAPE_AND_REDIRECT',
};

/** The profile is for gateways; what is said besides goes before it. */
function withProfile(connection: Json | undefined, isGateway: () => boolean): Json | undefined {
  return connection?.profile === 'EDGE' && isGateway() ? { ...edgeProfile, ...connection } : connection;
}

export function decorateChain(view: View, plan: FilterChainPlan): void {
  if (plan.network.type !== 'http') return;
  const settings = view.call(connectionSettings);
  if (Object.keys(settings).length === 0) return;
  const connection = withProfile(settings.connection, () => plan.direction === 'gateway');
  fill(plan, connectionSlot, { ...settings, ...(connection ? { connection } : {}) }, origin);
}

/** Routes that users let rewrite the Host; the full name that explicit capture gives is no rewrite to speak of. */
export function decorateRoute(view: View, plan: RoutePlan): void {
  const { action } = plan;
  if (action.type !== 'forward' || read(plan, fullNameSlot)) return;
  const [only, ...others] = action.destinations;
  const rewrites = action.authority ?? (others.length === 0 ? only?.headers?.authority : undefined);
  if (rewrites === undefined) return;
  if (flag(view.call(connectionSettings).headers, 'xForwardedHost', 'enabled'))
    fill(plan, forwardedHostSlot, true, origin);
}

export function decorateListener(view: View, plan: ListenerPlan): void {
  const { connection } = view.call(connectionSettings);
  const isGateway = () => plan.chains.some((chain) => chain.direction === 'gateway');
  const limit = withProfile(connection, isGateway)?.listenerPerConnectionBufferLimitBytes;
  if (typeof limit === 'number') fill(plan, bufferLimitSlot, limit, origin);
}

export function decorateCluster(view: View, plan: ClusterPlan): void {
  const { connection, headers } = view.call(connectionSettings);
  const isGateway = () => view.attribute(proxyType) === 'router';
  const limit = withProfile(connection, isGateway)?.clusterPerConnectionBufferLimitBytes;
  if (typeof limit === 'number') fill(plan, bufferLimitSlot, limit, origin);
  if (headers?.preserveHttp1HeaderCase === true && plan.protocol !== 'tcp' && plan.protocol !== 'http2')
    fill(plan, headerCaseSlot, true, origin);
}
