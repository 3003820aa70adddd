import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ApiVersion } from '../../gen/proto/envoy/config/core/v3/config_source_pb.js';
import { type GrpcService, GrpcServiceSchema } from '../../gen/proto/envoy/config/core/v3/grpc_service_pb.js';
import {
  type ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from '../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import {
  type ListStringMatcher,
  ListStringMatcherSchema,
  type StringMatcher,
  StringMatcherSchema,
} from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { Authorizer } from '../plan/authorizer.ts';
import { duration } from './pack.ts';

const everything = '*';

/** How Envoy's HTTP filter asks an authorizer. */
export function externalAuthorizer(authorizer: Authorizer): MessageInitShape<typeof ExtAuthzSchema> {
  const { body, failOpen, clearRouteCache, statusOnError, requestHeaders, protocol } = authorizer;
  return {
    services:
      protocol === 'grpc'
        ? { case: 'grpcService', value: authorizerCall(authorizer) }
        : { case: 'httpService', value: httpService(authorizer) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failOpen,
    clearRouteCache,
    ...(statusOnError > 0 ? { statusOnError: { code: statusOnError } } : {}),
    ...(requestHeaders.length > 0 ? { allowedHeaders: patterns(requestHeaders) } : {}),
    ...(protocol === 'http' && authorizer.toUpstreamOnAllow.includes(everything)
      ? { decoderHeaderMutationRules: { disallowExpression: { regex: ofTheAnswer } } }
      : {}),
    ...(body
      ? {
          withRequestBody: {
            maxRequestBytes: body.maxBytes,
            allowPartialMessage: body.partial,
            packAsBytes: body.asBytes,
          },
        }
      : {}),
  };
}

/** Headers that speak of the authorizer's own answer: on the request they would be wrong. */
const ofTheAnswer =
  '(?i):.*|host|content-(length|type|encoding)|transfer-encoding|connection|keep-alive|date|server|x-envoy-.*';

/** A gRPC authorizer, for requests and for connections. */
export function authorizerCall({ cluster, host, timeoutMs }: Authorizer): GrpcService {
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

/** Header names ignore case. Envoy refuses an empty prefix or suffix. */
function headerPattern(value: string): StringMatcher {
  if (value === everything)
    return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex: '.*' } } });
  const matchPattern: StringMatcher['matchPattern'] = value.startsWith('*')
    ? { case: 'suffix', value: value.slice(1) }
    : value.endsWith('*')
      ? { case: 'prefix', value: value.slice(0, -1) }
      : { case: 'exact', value };
  return create(StringMatcherSchema, { matchPattern, ignoreCase: true });
}
