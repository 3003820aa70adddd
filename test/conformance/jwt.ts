import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  type JwtAuthentication,
  JwtAuthenticationSchema,
  type JwtProvider,
  type JwtRequirement,
} from '../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { fetchedKeysKind } from '../../src/features/security/request-authentication/schema.ts';
import { usableKeys } from '../../src/features/security/request-authentication/usable-keys.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { makeProxy } from '../golden/mesh.ts';
import { worldOfYaml } from '../support/mesh-world.ts';

export interface RecordedJwtCase {
  name: string;
  policies?: object[];
  jwtRules?: object[];
  expectedHttpFilter?: { typedConfig: Record<string, JsonValue> } | null;
  expectedJwtAuthentication?: JsonValue;
}

/** What the peer's stubbed server of keys answers, and a service of the mesh that has some too. */
const keysUrl = 'http://jwks.example.test/oauth2/v3/certs';
const goodKeys = JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'fakeKey1_1' }] });
const services = [
  `{apiVersion: v1, kind: Service, metadata: {name: own, namespace: default}, spec: {clusterIP: 10.1.0.1, selector: {app: own}, ports: [{name: http, port: 80}]}}`,
  `{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: own-1, namespace: default}, spec: {address: 10.2.0.1, labels: {app: own}}}`,
  `{apiVersion: v1, kind: Service, metadata: {name: jwt-token-issuer, namespace: mesh}, spec: {clusterIP: 10.1.0.2, ports: [{name: http, port: 7443}]}}`,
];

/** The difference between the recorded filter and ours; undefined: they ask the same of the same tokens. */
export function jwtDifference(recorded: RecordedJwtCase): string | undefined {
  const policies = recorded.policies ?? [
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'policy', namespace: 'default' },
      spec: { jwtRules: recorded.jwtRules ?? [] },
    },
  ];
  // Objects of one name are one in an API: here each is an object of its own.
  const named = policies.map((policy, index) => {
    const { metadata, ...rest } = policy as { metadata: { name: string } };
    return JSON.stringify({ ...rest, metadata: { ...metadata, name: `${metadata.name}-${index}` } });
  });
  const world = worldOfYaml([...services, ...named], defaultMeshConfig);
  world.apply([{ kind: fetchedKeysKind.name, key: keysUrl, value: { keys: goodKeys } }]);
  const proxy = makeProxy({ name: 'own-1', ip: '10.2.0.1', labels: { app: 'own' } });
  const ours = filterOf(new DecodedResources(rebuild(world, defaultMeshConfig, proxy, roots.collections)));
  const theirs = recorded.expectedHttpFilter?.typedConfig ?? recorded.expectedJwtAuthentication;
  if (!theirs) return ours ? 'tokens are looked at, recorded not' : undefined;
  const { '@type': _, ...config } = theirs as Record<string, JsonValue>;
  const peer = fromJson(JwtAuthenticationSchema, config);
  const [own, other] = [ours && comparable(ours), comparable(peer)];
  return own === other ? undefined : `is ${own}, recorded ${other}`;
}

function filterOf(resources: DecodedResources): JwtAuthentication | undefined {
  for (const listener of resources.listeners())
    for (const chain of listener.filterChains)
      for (const { configType } of chain.filters) {
        const any = configType.case === 'typedConfig' ? configType.value : undefined;
        const manager = any && anyUnpack(any, HttpConnectionManagerSchema);
        for (const filter of manager?.httpFilters ?? []) {
          const inner = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined;
          const found = inner && anyUnpack(inner, JwtAuthenticationSchema);
          if (found) return found;
        }
      }
  return undefined;
}

/** Providers in the order of their issuers, under names of that order; keys as what they are good for. */
function comparable(filter: JwtAuthentication): string {
  const entries = Object.entries(filter.providers).sort(([, a], [, b]) => (a.issuer < b.issuer ? -1 : 1));
  const renamed = new Map(entries.map(([name], index) => [name, `origins-${index}`]));
  for (const { requirementType } of filter.rules)
    if (requirementType.case === 'requires') rename(requirementType.value, renamed);
  return JSON.stringify({
    providers: entries.map(([, provider]) => [keysOf(provider), settingsOf(provider)]),
    rules: filter.rules.map((rule) =>
      toJson(JwtAuthenticationSchema, { ...filter, providers: {}, rules: [rule] }),
    ),
  });
}

function settingsOf(provider: JwtProvider): JsonValue {
  const { jwksSourceSpecifier: _, ...settings } = provider;
  return toJson(JwtAuthenticationSchema, {
    $typeName: 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
    providers: { one: { ...settings, jwksSourceSpecifier: { case: undefined } } },
    rules: [],
    bypassCorsPreflight: false,
    requirementMap: {},
    stripFailureResponse: false,
    statPrefix: '',
  });
}

/** Keys of the mesh are fetched where the peer fetches them; else there are good ones or none. */
function keysOf({ jwksSourceSpecifier: source }: JwtProvider): string {
  if (source.case === 'remoteJwks') {
    const cluster = source.value.httpUri?.httpUpstreamType.value ?? '';
    const { timeout } = source.value.httpUri ?? {};
    return /\.svc\.cluster\.local$/.test(cluster)
      ? `${cluster} ${source.value.httpUri?.uri} ${timeout?.seconds}`
      : 'none';
  }
  const inline = source.value?.specifier.case === 'inlineString' ? source.value.specifier.value : '';
  return inline.includes('fakeKey1_1') || usableKeys(inline) !== undefined ? 'good' : 'none';
}

function rename({ requiresType }: JwtRequirement, names: ReadonlyMap<string, string>): void {
  if (requiresType.case === 'providerName') requiresType.value = names.get(requiresType.value) ?? '';
  if (requiresType.case === 'requiresAny' || requiresType.case === 'requiresAll')
    for (const inner of requiresType.value.requirements) rename(inner, names);
}
