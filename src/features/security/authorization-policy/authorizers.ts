import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { ApiVersion } from '../../../../gen/proto/envoy/config/core/v3/config_source_pb.js';
import { ExtAuthzSchema } from '../../../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../../../../gen/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import type { MetadataMatcher } from '../../../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import { StringMatcherSchema } from '../../../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { authorizerCall, externalAuthorizer } from '../../../envoy/external-authorizer.ts';
import { pack } from '../../../envoy/pack.ts';
import { metadataMatcher, textValue } from '../../../envoy/value-matcher.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';

/** Before the names of rules that a provider is asked about. */
export function askedRulePrefix(provider: string): string {
  return `istio-ext-authz-${provider}-`;
}

/** Before the names of what the RBAC filter of a provider leaves in the request's metadata. */
export function authorizerPrefix(provider: string): string {
  return `istio_ext_authz_${provider}_`;
}

/** Only what the RBAC filter before it matched is asked about. */
function whenMatched(filter: string, provider: string): MetadataMatcher {
  const prefix = create(StringMatcherSchema, {
    matchPattern: { case: 'prefix', value: askedRulePrefix(provider) },
  });
  return metadataMatcher(
    filter,
    [`${authorizerPrefix(provider)}shadow_effective_policy_id`],
    textValue(prefix),
  );
}

export function httpAuthorizer(provider: string, authorizer: Authorizer): Any {
  return pack(ExtAuthzSchema, {
    ...externalAuthorizer(authorizer),
    filterEnabledMetadata: whenMatched('envoy.filters.http.rbac', provider),
  });
}

/** For connections; an HTTP authorizer cannot be asked about them. */
export function networkAuthorizer(provider: string, authorizer: Authorizer): Any {
  return pack(NetworkExtAuthzSchema, {
    statPrefix: 'tcp.',
    grpcService: authorizerCall(authorizer),
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorizer.failOpen,
    filterEnabledMetadata: whenMatched('envoy.filters.network.rbac', provider),
  });
}
