import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { ApiVersion } from '../../../../gen/proto/envoy/config/core/v3/config_source_pb.js';
import {
  type GrpcService,
  GrpcServiceSchema,
} from '../../../../gen/proto/envoy/config/core/v3/grpc_service_pb.js';
import {
  ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../../../../gen/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import type { MetadataMatcher } from '../../../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import {
  type ListStringMatcher,
  ListStringMatcherSchema,
  type StringMatcher,
  StringMatcherSchema,
} from '../../../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { duration, pack } from '../../../envoy/pack.ts';
import { metadataMatcher, textValue } from '../../../envoy/value-matcher.ts';
import type { Authorizer } from './providers.ts';

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
  const { body, failOpen, clearRouteCache, statusOnError, requestHeaders, protocol } = authorizer;
  return pack(ExtAuthzSchema, {
    services:
      protocol === 'grpc'
        ? { case: 'grpcService', value: grpcService(authorizer) }
        : { case: 'httpService', value: httpService(authorizer) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failOpen,
    clearRouteCache,
    filterEnabledMetadata: whenMatched('envoy.filters.http.rbac', provider),
    ...(statusOnError > 0 ? { statusOnError: { code: statusOnError } } : {}),
    ...(protocol === 'http' && requestHeaders.length > 0 ? { allowedHeaders: patterns(requestHeaders) } : {}),
    ...(body
      ? {
          withRequestBody: {
            maxRequestBytes: body.maxBytes,
            allowPartialMessage: body.partial,
            packAsBytes: body.asBytes,
          },
        }
      : {}),
  });
}

/** For connections; an HTTP authorizer cannot be asked about them. */
export function networkAuthorizer(provider: string, authorizer: Authorizer): Any {
  return pack(NetworkExtAuthzSchema, {
    statPrefix: 'tcp.',
    grpcService: grpcService(authorizer),
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorizer.failOpen,
    filterEnabledMetadata: whenMatched('envoy.filters.network.rbac', provider),
  });
}

function grpcService({ cluster, host, timeoutMs }: Authorizer): GrpcService {
  return create(GrpcServiceSchema, {
    targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster, authority: host } },
    timeout: duration(timeoutMs),
  });
}

function httpService(authorizer: Authorizer): HttpService {
  return create(HttpServiceSchema, {
    serverUri: {
      uri: `http://${authorizer.host}`,
      httpUpstreamType: { case: 'cluster', value: authorizer.cluster },
      timeout: duration(authorizer.timeoutMs),
    },
    pathPrefix: authorizer.pathPrefix,
    authorizationRequest: {
      headersToAdd: authorizer.addedHeaders.map(([key, value]) => ({ key, value })),
    },
    authorizationResponse: {
      ...listed('allowedUpstreamHeaders', authorizer.toUpstreamOnAllow),
      ...listed('allowedClientHeadersOnSuccess', authorizer.toClientOnAllow),
      ...listed('allowedClientHeaders', authorizer.toClientOnDeny),
    },
  });
}

function listed<N extends string>(name: N, values: readonly string[]): { [K in N]?: ListStringMatcher } {
  return values.length === 0 ? {} : ({ [name]: patterns(values) } as { [K in N]: ListStringMatcher });
}

function patterns(values: readonly string[]): ListStringMatcher {
  return create(ListStringMatcherSchema, { patterns: values.map(headerPattern) });
}

/** `name`, `prefix*`, `*suffix` or `*`; header names ignore case. */
function headerPattern(value: string): StringMatcher {
  const matchPattern: StringMatcher['matchPattern'] = value.startsWith('*')
    ? { case: 'suffix', value: value.slice(1) }
    : value.endsWith('*')
      ? { case: 'prefix', value: value.slice(0, -1) }
      : { case: 'exact', value };
  return create(StringMatcherSchema, { matchPattern, ignoreCase: true });
}
