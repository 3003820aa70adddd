/** The filters that ask whom a route names for a rule, and for a backend. */
export const ruleAuthorizer = 'envoy.filters.http.composite.authorizer.rule';
export const backendAuthorizer = 'envoy.filters.http.composite.authorizer.backend';

/**
 * The order of HTTP filters, first to last, with the reason for each place. The only authority on order: features name a filter,
 * this table places it.
 */
export const httpFilterOrder: readonly { readonly name: string; readonly reason: string }[] = [
  {
    name: 'envoy.filters.http.set_filter_state',
    reason:
      'keeps what the peer’s sidecar says of itself for the metrics, of requests too that a filter after it answers',
  },
  {
    name: 'envoy.filters.http.on_demand',
    reason: 'finds the route and the cluster before anything looks at them',
  },
  {
    name: 'envoy.filters.http.grpc_web',
    reason: 'turns gRPC-Web into gRPC before anything looks at the call',
  },
  {
    name: 'envoy.filters.http.cors',
    reason: 'answers preflights, which carry no credentials, before they could be refused',
  },
  {
    name: 'envoy.filters.http.rbac.custom',
    reason: 'CUSTOM policies decide first: what they refuse nobody allows',
  },
  {
    name: 'envoy.filters.http.ext_authz',
    reason:
      'asks for what the CUSTOM policies before it matched; it may bring the token that is looked at next',
  },
  {
    name: 'envoy.filters.http.jwt_authn',
    reason: 'the claims must be known to the policies that ask for them',
  },
  {
    name: 'envoy.filters.http.rbac.audit',
    reason: 'before any refusal, so that refused requests are marked too',
  },
  { name: 'envoy.filters.http.rbac.deny', reason: 'DENY goes before ALLOW' },
  {
    name: 'envoy.filters.http.rbac.allow',
    reason: 'last of the policies, and before anything is done for the caller',
  },
  { name: ruleAuthorizer, reason: 'an authorization server is asked only about what no policy refuses' },
  { name: backendAuthorizer, reason: 'the backend’s own server after the rule’s' },
  { name: 'envoy.filters.http.fault', reason: 'injects as early as a real network fault would show' },
  {
    name: 'envoy.filters.http.ext_proc',
    reason: 'chooses the endpoint of a model for what nothing refuses any more',
  },
  {
    name: 'envoy.filters.http.stateful_session',
    reason: 'names the endpoint of a session once nothing refuses the request any more',
  },
  {
    name: 'envoy.filters.http.dynamic_forward_proxy',
    reason: 'resolves the host just before the router needs an address',
  },
  { name: 'envoy.filters.http.router', reason: 'terminal: sends the request on' },
];

/** Network filters before the terminal one, likewise. */
const networkFilterOrder: readonly { readonly name: string; readonly reason: string }[] = [
  {
    name: 'envoy.filters.network.set_filter_state',
    reason: 'what upstream connections depend on must be known before they open',
  },
  { name: 'envoy.filters.network.rbac.custom', reason: 'CUSTOM policies decide first' },
  { name: 'envoy.filters.network.ext_authz', reason: 'asks for what the CUSTOM policies before it matched' },
  { name: 'envoy.filters.network.rbac.audit', reason: 'before any refusal' },
  { name: 'envoy.filters.network.rbac.deny', reason: 'DENY goes before ALLOW' },
  { name: 'envoy.filters.network.rbac.allow', reason: 'last of the policies' },
  {
    name: 'envoy.filters.network.mongo_proxy',
    reason: 'reads what is allowed to pass, on its way to the proxy',
  },
  { name: 'envoy.filters.network.zookeeper_proxy', reason: 'likewise' },
  { name: 'envoy.filters.network.redis_proxy', reason: 'terminal: sends each command on' },
  { name: 'envoy.filters.network.thrift_proxy', reason: 'terminal: sends each call on' },
  { name: 'envoy.filters.network.dubbo_proxy', reason: 'terminal: sends each call on' },
  {
    name: 'envoy.filters.network.rbac.sni',
    reason: 'the name must be known to be a harmless one before it chooses',
  },
  { name: 'envoy.filters.network.sni_cluster', reason: 'chooses for the proxy behind it' },
  { name: 'envoy.filters.network.tcp_proxy', reason: 'terminal: opens the upstream connection' },
  { name: 'envoy.filters.network.http_connection_manager', reason: 'terminal: parses HTTP' },
];

/** Sorts HTTP filters by the table. Throws for one that the table does not know: it would have no defined place. */
export function inFilterOrder<T extends { readonly name: string }>(filters: readonly T[]): T[] {
  return inOrder(httpFilterOrder, filters);
}

/** The same for network filters. */
export function inNetworkOrder<T extends { readonly name: string }>(filters: readonly T[]): T[] {
  return inOrder(networkFilterOrder, filters);
}

type Order = readonly { readonly name: string; readonly reason: string }[];

function inOrder<T extends { readonly name: string }>(order: Order, filters: readonly T[]): T[] {
  const ranked = filters.map((filter) => ({ filter, rank: rankOf(order, filter.name) }));
  return ranked.sort((a, b) => a.rank - b.rank).map(({ filter }) => filter);
}

function rankOf(order: Order, name: string): number {
  const found = order.findIndex((line) => line.name === name);
  if (found < 0) throw new Error(`${name} has no place in envoy/filter-order.ts: add a line with its reason`);
  return found;
}
