import { originNamespace } from '../../../envoy/pack.ts';

/*
 * The mesh's own record of a call: one line of JSON on a proxy's standard output for each call that failed, that a policy in dry run would
 * have refused, or that is observed on demand. Its fields are the same everywhere, whatever `accessLogFormat` says, so that `ostria logs
 * --failed` and `ostria policy` can read what any proxy wrote. Queries of paths are left out: they may hold secrets.
 */

/** First of a line's keys (Envoy sorts them): tells our lines from all others. */
export const callLogMark = '@ostria';
/** Runtime key: the percentage of calls that are recorded without having failed. Set at a proxy's admin socket; 0 by default. */
export const observeKey = 'ostria.observe';

/** Longest text of a caller's that is recorded, in bytes. */
const longest = 300;

const always = {
  time: '%START_TIME%',
  flags: '%RESPONSE_FLAGS%',
  details: '%RESPONSE_CODE_DETAILS%',
  duration: '%DURATION%',
  client: '%DOWNSTREAM_REMOTE_ADDRESS%',
  local: '%DOWNSTREAM_LOCAL_ADDRESS%',
  chain: `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:origin)%`,
} as const;

/** Who comes in, as the server's side knows him. */
const caller = {
  peer: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%',
  principal: '%DOWNSTREAM_PEER_URI_SAN%',
  sni: '%REQUESTED_SERVER_NAME%',
} as const;

/** What judged him. `policies`: the ALLOW policies in force; `tried`: those in dry run; `tokens`: the rules for tokens. `port`: what `ports` means, where the chain listens on an allocated one. */
const judged = {
  policies: `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:allow)%`,
  tried: `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:dry_run_allow)%`,
  tokens: `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:tokens)%`,
  port: `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:port)%`,
} as const;

const upstream = {
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_origin: `%CLUSTER_METADATA(${originNamespace}:origin)%`,
  limits: `%CLUSTER_METADATA(${originNamespace}:limits)%`,
  upstream_host: '%UPSTREAM_HOST%',
  upstream_local: '%UPSTREAM_LOCAL_ADDRESS%',
  upstream_failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
} as const;

const request = {
  method: `%REQ(:METHOD):${longest}%`,
  path: `%PATH(NQ):${longest}%`,
  authority: `%REQ(:AUTHORITY):${longest}%`,
  code: '%RESPONSE_CODE%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  grpc_status: '%GRPC_STATUS%',
  request_id: `%REQ(X-REQUEST-ID):${longest}%`,
  route: `%METADATA(ROUTE:${originNamespace}:origin)%`,
  virtual_host: `%METADATA(VIRTUAL_HOST:${originNamespace}:origin)%`,
  missed: `%METADATA(VIRTUAL_HOST:${originNamespace}:missed)%`,
} as const;

const token = 'envoy.filters.http.jwt_authn:payload';

type Side = 'outbound' | 'inbound';
type Fields = Readonly<Record<string, string>>;

/** Of a request. Callers know less of themselves than those whom they call. */
export const httpFields: Readonly<Record<Side, Fields>> = {
  outbound: { [callLogMark]: 'http', side: 'outbound', ...always, ...upstream, ...request },
  inbound: {
    ...{ [callLogMark]: 'http', side: 'inbound', ...always, ...caller, ...judged, ...upstream, ...request },
    rbac: '%DYNAMIC_METADATA(envoy.filters.http.rbac)%',
    token_issuer: `%DYNAMIC_METADATA(${token}:iss):${longest}%`,
    token_subject: `%DYNAMIC_METADATA(${token}:sub):${longest}%`,
  },
};

const tcp = { [callLogMark]: 'tcp', end: '%CONNECTION_TERMINATION_DETAILS%' } as const;

/** Of a connection that is proxied as bytes. */
export const tcpFields: Readonly<Record<Side, Fields>> = {
  outbound: { ...tcp, side: 'outbound', ...always, ...upstream },
  inbound: {
    ...{ ...tcp, side: 'inbound', ...always, ...caller, ...judged, ...upstream },
    rbac: '%DYNAMIC_METADATA(envoy.filters.network.rbac)%',
  },
};

/** Of a connection that came to no filter chain, or whose handshake failed. */
export const connectionFields: Fields = {
  [callLogMark]: 'connection',
  side: 'inbound',
  ...always,
  ...caller,
  tls_failure: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
  listener: `%METADATA(LISTENER:${originNamespace}:origin)%`,
};
