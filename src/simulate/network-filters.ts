import type { Any } from '@bufbuild/protobuf/wkt';
import type { FilterStateValue } from '../../gen/proto/envoy/extensions/filters/common/set_filter_state/v3/value_pb.js';
import { ExtAuthzSchema } from '../../gen/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import { LocalRateLimitSchema } from '../../gen/proto/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.js';
import { RBACSchema } from '../../gen/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { ConfigSchema as SetFilterStateSchema } from '../../gen/proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js';
import { judge } from './authorization.ts';
import { unpack } from './decoded-resources.ts';
import { isAsked, verdictOf } from './external-authorization.ts';
import { assume, decide, passUnforeseen, type Walk } from './walk.ts';

/** Filters that neither end a connection nor choose where it goes, and the guard of the one that chooses by server name. */
const harmless = new Set(
  ['set_filter_state', 'sni_cluster', 'rbac.sni', 'mongo_proxy', 'zookeeper_proxy'].map(
    (name) => `envoy.filters.network.${name}`,
  ),
);

/** A filter before the one that takes the connection on: false where it closes it. */
export function networkFilterPasses(walk: Walk, name: string, config: Any): boolean {
  const offered = unpack(config, SetFilterStateSchema)?.onNewConnection.find(
    ({ key }) => key.case === 'objectKey' && key.value === 'envoy.network.application_protocols',
  );
  if (offered) walk.result.offers = textIn(offered);
  if (harmless.has(name)) return true;
  const refusedBy = refusal(walk, name, config);
  if (refusedBy === undefined) return true;
  walk.result.refusedBy = refusedBy;
  walk.result.closed = true;
  return false;
}

function refusal(walk: Walk, name: string, config: Any): string | undefined {
  const policies = unpack(config, RBACSchema);
  if (policies) {
    const refusedBy = judge(walk, policies, 'envoy.filters.network.rbac');
    if (refusedBy !== undefined) walk.result.details = `rbac_access_denied_matched_policy[${refusedBy}]`;
    return refusedBy;
  }
  const authorizer = unpack(config, ExtAuthzSchema);
  if (authorizer) {
    const when = authorizer.filterEnabledMetadata;
    return isAsked(walk, when) ? verdictOf(walk, when) : undefined;
  }
  const limit = unpack(config, LocalRateLimitSchema);
  if (limit) {
    decide(walk, 'rate-limit', 'local', {
      verdict: 'allowed',
      why: `${limit.tokenBucket?.maxTokens ?? 0} connections at once`,
    });
    assume(walk, 'the local rate limit is not used up');
  } else {
    passUnforeseen(walk, name, [config]);
    assume(walk, `the filter ${name} is not simulated: it lets the connection pass`);
  }
  return undefined;
}

function textIn({ value }: FilterStateValue): string[] {
  const format = value.case === 'formatString' ? value.value.format : undefined;
  const source = format?.case === 'textFormatSource' ? format.value.specifier : undefined;
  return source?.case === 'inlineString' ? source.value.split(',') : [];
}
