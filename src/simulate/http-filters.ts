import type { Any } from '@bufbuild/protobuf/wkt';
import {
  CompositePerRouteSchema,
  CompositeSchema,
  ExecuteFilterActionSchema,
} from '../../gen/proto/envoy/extensions/filters/http/composite/v3/composite_pb.js';
import { CorsSchema } from '../../gen/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { ExtAuthzSchema } from '../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { ConfigSchema as HeaderToMetadataSchema } from '../../gen/proto/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata_pb.js';
import { JwtAuthenticationSchema } from '../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { LocalRateLimitSchema } from '../../gen/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { RateLimitSchema } from '../../gen/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import {
  RBACPerRouteSchema,
  RBACSchema,
} from '../../gen/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { ConfigSchema as SetFilterStateSchema } from '../../gen/proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js';
import type { HttpFilter } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { typeUrls } from '../snapshot/resource.ts';
import { authenticate } from './authentication.ts';
import { judge } from './authorization.ts';
import { type ChosenRoute, type FilterSetting, filterSetting, type NoRoute } from './choose-route.ts';
import { preflightAnswer } from './cors.ts';
import { unpack } from './decoded-resources.ts';
import { isAsked, routeVerdict, verdictOf } from './external-authorization.ts';
import { faultFor } from './fault.ts';
import { answer, assume, decide, originIn, passUnforeseen, type Walk } from './walk.ts';

/** A filter at work: true: the request goes on; false: it was answered. */
type FilterWalk = (walk: Walk, config: Any, setting: FilterSetting | undefined, place: Place) => boolean;

interface Place {
  readonly choice: ChosenRoute | NoRoute;
}

const handlers: Readonly<Record<string, FilterWalk>> = {
  [CorsSchema.typeName]: cors,
  [JwtAuthenticationSchema.typeName]: tokens,
  [RBACSchema.typeName]: policies,
  [ExtAuthzSchema.typeName]: externalAuthorizer,
  [CompositeSchema.typeName]: routesAuthorizer,
  [HTTPFaultSchema.typeName]: fault,
  [HeaderToMetadataSchema.typeName]: headersToMetadata,
  [SetFilterStateSchema.typeName]: setFilterState,
  [LocalRateLimitSchema.typeName]: localRateLimit,
  [RateLimitSchema.typeName]: rateLimit,
};

/** Filters that neither answer nor choose, as far as a request tells. */
const harmless = new Set(
  [
    ...['router.v3.Router', 'on_demand.v3.OnDemand', 'grpc_web.v3.GrpcWeb', 'grpc_stats.v3.FilterConfig'],
    ...['stateful_session.v3.StatefulSession', 'dynamic_forward_proxy.v3.FilterConfig'],
    ...['compressor.v3.Compressor', 'decompressor.v3.Decompressor'],
  ].map((name) => `envoy.extensions.filters.http.${name}`),
);

/** One HTTP filter of a chain. A filter that is off works where a route says something of it. */
export function walkFilter(walk: Walk, filter: HttpFilter, place: Place): boolean {
  const config = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined;
  const setting = filterSetting(place.choice, filter.name, walk.call);
  if (setting?.disabled || (filter.disabled && !setting)) return true;
  if (!config) {
    const delivered = walk.resources.set.get(typeUrls.extension)?.get(filter.name);
    if (filter.configType.case === 'configDiscovery')
      passUnforeseen(walk, filter.name, [delivered?.version, setting?.config]);
    return true;
  }
  const type = config.typeUrl.slice(config.typeUrl.lastIndexOf('/') + 1);
  const handler = handlers[type];
  if (handler) return handler(walk, config, setting, place);
  return harmless.has(type) || passUnsimulated(walk, filter.name, [config, setting?.config]);
}

function passUnsimulated(walk: Walk, name: string, what: Parameters<typeof passUnforeseen>[2]): true {
  passUnforeseen(walk, name, what);
  assume(walk, `the filter ${name} is not simulated: it lets the request pass`);
  return true;
}

function routeOrigin({ choice }: Place) {
  return 'route' in choice ? originIn(choice.route.metadata) : undefined;
}

function cors(walk: Walk, _: Any, setting: FilterSetting | undefined, place: Place): boolean {
  // Redirects and direct responses answer preflights as they answer everything.
  const forwards = 'route' in place.choice && place.choice.route.action.case === 'route';
  const answered = forwards ? preflightAnswer(setting?.config, walk.call) : undefined;
  if (!answered) return true;
  const why = answered.allowed ? 'the origin is allowed' : 'the origin is not allowed';
  decide(walk, 'cors', 'preflight', { verdict: 'answered', why }, routeOrigin(place));
  walk.result.status = 200;
  return false;
}

function tokens(walk: Walk, any: Any): boolean {
  const config = unpack(any, JwtAuthenticationSchema);
  return !config || authenticate(walk, config);
}

function policies(walk: Walk, any: Any, setting: FilterSetting | undefined): boolean {
  const own = unpack(setting?.config, RBACPerRouteSchema);
  const filter = own ? own.rbac : unpack(any, RBACSchema);
  if (!filter) return true;
  const refusedBy = judge(walk, filter, 'envoy.filters.http.rbac');
  if (refusedBy === undefined) return true;
  walk.result.refusedBy = refusedBy;
  answer(walk, 403, `rbac_access_denied_matched_policy[${refusedBy}]`);
  return false;
}

function externalAuthorizer(walk: Walk, any: Any, _: FilterSetting | undefined, { choice }: Place): boolean {
  const config = unpack(any, ExtAuthzSchema);
  // Envoy asks nobody about requests that no route takes.
  if ('error' in choice && choice.error !== 'tls required, sending 301') return true;
  if (!config || !isAsked(walk, config.filterEnabledMetadata)) return true;
  const refusedBy = verdictOf(walk, config.filterEnabledMetadata);
  if (refusedBy === undefined) return true;
  walk.result.refusedBy = refusedBy;
  answer(walk, 403, 'ext_authz_denied');
  return false;
}

/** A filter that becomes the authorizer that the route names. */
function routesAuthorizer(walk: Walk, _: Any, setting: FilterSetting | undefined): boolean {
  const outcome = unpack(setting?.config, CompositePerRouteSchema)?.matcher?.onNoMatch?.onMatch;
  const action = outcome?.case === 'action' ? outcome.value.typedConfig : undefined;
  const filter = unpack(action, ExecuteFilterActionSchema)?.typedConfig;
  const config = unpack(filter?.typedConfig, ExtAuthzSchema);
  if (!filter || !config) {
    assume(walk, 'a composite filter that asks no authorizer lets the request pass');
    return true;
  }
  const refusedBy = routeVerdict(walk, filter.name, config);
  if (refusedBy === undefined) return true;
  walk.result.refusedBy = refusedBy;
  answer(walk, 403, 'ext_authz_denied');
  return false;
}

/** A fault that no request escapes answers; others are told. */
function fault(walk: Walk, _: Any, setting: FilterSetting | undefined, place: Place): boolean {
  const found = faultFor(setting?.config, walk.call);
  if (!found) return true;
  walk.result.fault = found;
  const { abort, delay } = found;
  const origin = routeOrigin(place);
  if (delay)
    decide(
      walk,
      'fault',
      'delay',
      { verdict: 'delayed', why: `${delay.milliseconds} ms, ${delay.percent} % of requests` },
      origin,
    );
  if (!abort) return true;
  const certain = abort.percent >= 100;
  const why = `status ${abort.status}, ${abort.percent} % of requests`;
  decide(walk, 'fault', 'abort', { verdict: certain ? 'answered' : 'observed', why }, origin);
  if (!certain) return true;
  answer(walk, abort.status);
  if (walk.result.grpcStatus !== undefined && abort.grpcStatus !== undefined)
    walk.result.grpcStatus = abort.grpcStatus;
  return false;
}

function headersToMetadata(walk: Walk, any: Any): boolean {
  const headers: Record<string, string> = { ...walk.call.headers };
  for (const { header, remove, onHeaderPresent } of unpack(any, HeaderToMetadataSchema)?.requestRules ?? []) {
    const name = header.toLowerCase();
    const value = headers[name];
    if (value === undefined || !onHeaderPresent) continue;
    const { metadataNamespace, key } = onHeaderPresent;
    walk.metadata[metadataNamespace] = { ...walk.metadata[metadataNamespace], [key]: value };
    if (remove) delete headers[name];
  }
  walk.call = { ...walk.call, headers };
  return true;
}

/** What the mesh's own filter keeps is for its metrics; others may set what Envoy itself minds. */
function setFilterState(walk: Walk, any: Any): boolean {
  const values = unpack(any, SetFilterStateSchema)?.onRequestHeaders ?? [];
  return values.every(({ key }) => key.case === 'objectKey' && key.value.startsWith('ostria.'))
    ? true
    : passUnsimulated(walk, 'envoy.filters.http.set_filter_state', [any]);
}

function localRateLimit(walk: Walk, any: Any, setting: FilterSetting | undefined): boolean {
  const config = unpack(setting?.config, LocalRateLimitSchema) ?? unpack(any, LocalRateLimitSchema);
  const bucket = config?.tokenBucket;
  if (!bucket || (config.filterEnabled?.defaultValue?.numerator ?? 0) === 0) return true;
  const { seconds, nanos } = bucket.fillInterval ?? { seconds: 0n, nanos: 0 };
  const per = `${Number(seconds) + nanos / 1e9} s`;
  const why = `${bucket.tokensPerFill ?? 1} requests in ${per}, ${bucket.maxTokens} at once, then 429`;
  decide(walk, 'rate-limit', 'local', { verdict: 'allowed', why });
  assume(walk, 'the local rate limit is not used up');
  return true;
}

function rateLimit(walk: Walk, any: Any): boolean {
  const domain = unpack(any, RateLimitSchema)?.domain ?? '';
  decide(walk, 'rate-limit', domain, { verdict: 'asks', why: 'a rate limit service' });
  assume(walk, `the rate limit service allows (domain ${domain})`);
  return true;
}
