import { create } from '@bufbuild/protobuf';
import type { FilterChain } from '../../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import {
  JwtAuthenticationSchema,
  type JwtProvider as JwtProviderMessage,
  JwtProviderSchema,
  type JwtRequirement,
  JwtRequirementSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { originId } from '../../../config/origin.ts';
import { addMetadata, duration, pack } from '../../../envoy/pack.ts';
import { boundedList } from '../../../kit/bounded-list.ts';
import { compareText } from '../../../kit/maps.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { read } from '../../../plan/slot.ts';
import { type JwtProvider, jwtProvidersSlot } from './schema.ts';

/** Claims that are lists in one text, besides those that a rule names. */
const spaceDelimitedClaims = ['permission', 'scope'];
const defaultFetchTimeoutMs = 5_000;
/** How long a proxy uses keys that it fetched itself. */
const fetchedKeysLastMs = 300_000;

/** Longest list of rules that a chain carries, in bytes. */
const longestList = 512;

/** What access logs tell of a token that was refused: a token without a sound signature names no rule. */
export function describeChain(chain: FilterChainPlan, message: FilterChain): void {
  const rules = (read(chain, jwtProvidersSlot) ?? []).map(({ origin }) => originId(origin));
  if (rules.length > 0) addMetadata(message, { tokens: boundedList(rules, longestList) });
}

export function httpFilters(chain: FilterChainPlan): HttpFilterFragment[] {
  const providers = read(chain, jwtProvidersSlot);
  if (!providers) return [];
  return [
    {
      name: 'envoy.filters.http.jwt_authn',
      config: pack(JwtAuthenticationSchema, {
        providers: Object.fromEntries(
          providers.map((provider) => [
            provider.name,
            buildProvider(provider, chain.direction === 'gateway'),
          ]),
        ),
        rules: [
          {
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            requirementType: { case: 'requires', value: requirementOf(providers) },
          },
        ],
        bypassCorsPreflight: true,
      }),
    },
  ];
}

/** Routes may look at claims at gateways only: elsewhere choosing the route again would be for nothing. */
function buildProvider({ rule, keys }: JwtProvider, clearRouteCache: boolean): JwtProviderMessage {
  return create(JwtProviderSchema, {
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    jwksSourceSpecifier: keySource(keys, parseDuration(rule.timeout) ?? defaultFetchTimeoutMs),
    forward: rule.forwardOriginalToken ?? false,
    fromHeaders: (rule.fromHeaders ?? []).map(({ name, prefix = '' }) => ({ name, valuePrefix: prefix })),
    fromParams: rule.fromParams ?? [],
    fromCookies: rule.fromCookies ?? [],
    forwardPayloadHeader: rule.outputPayloadToHeader ?? '',
    payloadInMetadata: 'payload',
    normalizePayloadInMetadata: {
      spaceDelimitedClaims: [
        ...new Set([...spaceDelimitedClaims, ...(rule.spaceDelimitedClaims ?? [])]),
      ].sort(compareText),
    },
    claimToHeaders: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      headerName: header,
      claimName: claim,
    })),
    clearRouteCache,
  });
}

function keySource(keys: JwtProvider['keys'], timeoutMs: number): JwtProviderMessage['jwksSourceSpecifier'] {
  if (keys.type === 'local')
    return {
      case: 'localJwks',
      value: {
        $typeName: 'envoy.config.core.v3.DataSource',
        specifier: { case: 'inlineString', value: keys.keys },
      },
    };
  // Envoy takes no empty set. Asking where nobody answers refuses every token of the issuer, and the answer says why.
  const { url, cluster } =
    keys.type === 'service' ? keys : { url: 'http://no-keys/', cluster: blackHoleCluster };
  return {
    case: 'remoteJwks',
    value: {
      $typeName: 'envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks',
      httpUri: {
        $typeName: 'envoy.config.core.v3.HttpUri',
        uri: url,
        httpUpstreamType: { case: 'cluster', value: cluster },
        timeout: duration(timeoutMs),
      },
      cacheDuration: duration(fetchedKeysLastMs),
    },
  };
}

/** Each issuer's token, or none: a token that no rule accepts is refused, a request without one goes on to the policies. */
function requirementOf(providers: readonly JwtProvider[]): JwtRequirement {
  const named = providers.map(({ name }) => requirement({ case: 'providerName', value: name }));
  const missing = requirement({ case: 'allowMissing', value: { $typeName: 'google.protobuf.Empty' } });
  if (providers.length === 1) return any([...named, missing]);
  // Two issuers' tokens in one request: each must be valid or absent.
  const each = requirement({
    case: 'requiresAll',
    value: {
      $typeName: 'envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList',
      requirements: named.map((one) => any([one, missing])),
    },
  });
  return any([...named, each]);
}

function requirement(requiresType: JwtRequirement['requiresType']): JwtRequirement {
  return create(JwtRequirementSchema, { requiresType });
}

function any(requirements: JwtRequirement[]): JwtRequirement {
  return requirement({
    case: 'requiresAny',
    value: { $typeName: 'envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList', requirements },
  });
}
