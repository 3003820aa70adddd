import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  create,
  createRegistry,
  fromJson,
  type JsonValue,
  type MessageShape,
  toJson,
} from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { parseAllDocuments } from 'yaml';
import { type RBAC, RBACSchema } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { ExtAuthzSchema } from '../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../../gen/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import { UriTemplateMatchConfigSchema } from '../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import {
  httpAuthorizer,
  networkAuthorizer,
} from '../../src/features/security/authorization-policy/authorizers.ts';
import {
  askedProviders,
  authorizationFilters,
} from '../../src/features/security/authorization-policy/envoy.ts';
import { providerOf } from '../../src/features/security/authorization-policy/providers.ts';
import {
  type AuthorizationPlan,
  type AuthorizationPolicy,
  appliedPolicy,
} from '../../src/features/security/authorization-policy/schema.ts';
import type { Authorizer } from '../../src/plan/authorizer.ts';
import { defaultMeshConfig, overlayMeshConfig } from '../../src/registry/mesh-config.ts';
import { matchedPolicies, type RbacFacts } from '../../src/simulate/rbac.ts';
import { defineCollection, defineQuery } from '../../src/snapshot/query.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import type { Resource } from '../../src/snapshot/resource.ts';
import { makeProxy } from '../golden/mesh.ts';
import { worldOfYaml } from '../support/mesh-world.ts';
import { fc } from '../support/properties.ts';
import { conditionsHeld, evaluateFilters, unknownCondition } from '../support/rbac-filters.ts';
import type { CaseOutcome } from './group.ts';

interface RecordedCase {
  name: string;
  protocol: 'http' | 'tcp';
  input: string;
  expected: string[];
  meshConfig?: string;
  customAction?: boolean;
  trustDomain?: string;
  trustDomainAliases?: string[];
}

interface RecordedFilter {
  name: string;
  typedConfig: { '@type'?: string; rules?: JsonValue; shadowRules?: JsonValue };
}

interface Rules {
  readonly rules?: RBAC;
  readonly shadowRules?: RBAC;
}

const registry = createRegistry(UriTemplateMatchConfigSchema);
/** How many random requests each case is asked. */
const asked = 2000;

/**
 * Runs `authz/index.json`: the peer's filters and ours are asked the same random requests, made of the words of both. Each must name
 * the same matching rules, enforced and tried out, and come to the same decision.
 */
export function runAuthzCases(folder: string): CaseOutcome[] {
  const directory = join(folder, 'authz');
  const { cases } = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as {
    cases: RecordedCase[];
  };
  return cases.map((recorded) => {
    const { name } = recorded;
    const why = differenceOf(directory, recorded);
    return why === undefined ? { name, outcome: 'passed' } : { name, outcome: 'failed', why };
  });
}

function documents<T>(file: string): T[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => document.toJS() as T | null)
    .filter((document) => document !== null);
}

function differenceOf(directory: string, recorded: RecordedCase): string | undefined {
  const policies = documents<AuthorizationPolicy>(join(directory, recorded.input));
  const plan = {
    policies: policies
      .map(appliedPolicy)
      .filter(({ action }) => (action === 'CUSTOM') === (recorded.customAction ?? false)),
    trustDomains: [recorded.trustDomain ?? 'cluster.local', ...(recorded.trustDomainAliases ?? [])],
    authorizers: recorded.meshConfig ? authorizersOf(directory, recorded.meshConfig) : {},
  };
  const http = recorded.protocol === 'http';
  const ours = authorizationFilters(plan, http);
  const peerFilters = recorded.expected.flatMap((file) => documents<RecordedFilter>(join(directory, file)));
  const difference = authorizerDifference(plan, http, peerFilters);
  if (difference !== undefined) return difference;
  const theirs = peerFilters
    .filter(({ name }) => name.endsWith('.rbac'))
    .map(({ typedConfig }) => ({
      ...(typedConfig.rules ? { rules: fromJson(RBACSchema, typedConfig.rules, { registry }) } : {}),
      ...(typedConfig.shadowRules
        ? { shadowRules: fromJson(RBACSchema, typedConfig.shadowRules, { registry }) }
        : {}),
    }));
  const texts = JSON.stringify(policies).match(/"([^"\\]*)"/g) ?? [];
  const facts = fc.sample(requests([...new Set(texts.map((text) => text.slice(1, -1)))], recorded.protocol), {
    numRuns: asked,
    seed: 7,
  });
  for (const fact of facts) {
    const [own, peer] = [evaluateFilters(ours, fact), evaluateFilters(theirs, fact)];
    if (own !== peer)
      return `${own ? 'admitted' : 'refused'}, recorded the other way: ${JSON.stringify(fact)}`;
    for (const kind of ['rules', 'shadowRules'] as const) {
      const [named, recordedNames] = [ruleNames(ours, kind, fact), ruleNames(theirs, kind, fact)];
      const [held, recordedHeld] = [conditions(ours, kind, fact), conditions(theirs, kind, fact)];
      if (held !== recordedHeld)
        return `conditions that hold are\n${held}, recorded\n${recordedHeld}\n${JSON.stringify(fact)}`;
      if (named !== recordedNames)
        return `${kind} that match are ${named}, recorded ${recordedNames}: ${JSON.stringify(fact)}`;
    }
  }
  return undefined;
}

/** The mesh in which the recorded providers are found. */
const providerService = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: authorizer, namespace: foo}
spec: {hosts: [my-custom-ext-authz.foo.svc.cluster.local], resolution: STATIC, ports: [{number: 9000, name: http, protocol: HTTP}]}
`;

let found: Record<string, Authorizer> = {};
const capture = defineCollection<Resource>(
  'conformance.authorizers',
  defineQuery('conformance.authorizer-keys', () => ['default']),
  defineQuery('conformance.authorizer', (view, name: string) => {
    const provider = providerOf(view, name);
    found = provider.ok ? { [name]: provider.authorizer } : {};
    return undefined;
  }),
);

function authorizersOf(directory: string, meshConfig: string): Record<string, Authorizer> {
  const settings = JSON.parse(readFileSync(join(directory, 'meshconfigs.json'), 'utf8')) as Record<
    string,
    object
  >;
  const mesh = overlayMeshConfig(defaultMeshConfig, (settings[meshConfig] ?? {}) as Record<string, unknown>);
  rebuild(worldOfYaml([providerService], mesh), mesh, makeProxy({ namespace: 'foo' }), [capture]);
  return found;
}

/** How the authorizer is asked must be as recorded, but for where the filters before it leave their match. */
function authorizerDifference(
  plan: AuthorizationPlan,
  http: boolean,
  peer: readonly RecordedFilter[],
): string | undefined {
  const schema = http ? ExtAuthzSchema : NetworkExtAuthzSchema;
  const comparable = (message: MessageShape<typeof schema>) =>
    JSON.stringify(toJson(schema, { ...message, filterEnabledMetadata: undefined } as never));
  const theirs = peer
    .filter(({ name }) => name.endsWith('.ext_authz'))
    .map(({ typedConfig: { '@type': _, ...config } }) => comparable(fromJson(schema, config as JsonValue)));
  const ours = askedProviders(plan, http).map((provider) => {
    const authorizer = plan.authorizers?.[provider] as Authorizer;
    const any = http ? httpAuthorizer(provider, authorizer) : networkAuthorizer(provider, authorizer);
    return comparable(anyUnpack(any, schema) as MessageShape<typeof schema>);
  });
  return theirs.join() === ours.join() ? undefined : `the authorizer is asked by ${ours}, recorded ${theirs}`;
}

/** The conditions of each rule that hold. */
function conditions(filters: readonly Rules[], kind: keyof Rules, facts: RbacFacts): string {
  return filters
    .flatMap((filter) => Object.entries(filter[kind]?.policies ?? {}))
    .filter(([name]) => !name.includes('policy[allow-none]'))
    .map(([name, policy]) => `${withoutProvider(name)}: ${conditionsHeld(policy, facts)}`)
    .sort()
    .join('\n');
}

/** Which rules match; what the peer calls a policy of a bad provider and we call so differs by its prefix. */
function ruleNames(filters: readonly Rules[], kind: keyof Rules, facts: RbacFacts): string {
  return filters
    .flatMap((filter) => matchedPolicies(filter[kind] ?? create(RBACSchema), facts))
    .filter((name) => !name.includes('policy[allow-none]'))
    .map(withoutProvider)
    .sort()
    .join(' ');
}

function withoutProvider(name: string): string {
  return name.replace(/^istio-ext-authz-\w+-/, '');
}

/** A text that a pattern takes, or nearly takes. */
function texts(words: readonly string[]): fc.Arbitrary<string> {
  const word = words.length > 0 ? fc.constantFrom(...words) : fc.constant('other');
  return fc
    .tuple(word, fc.constantFrom('x', 'abc', ''))
    .map(([text, filler]) =>
      text.replaceAll('{**}', `${filler}/y`).replaceAll('{*}', `${filler}z`).replaceAll('*', filler),
    );
}

function requests(words: readonly string[], protocol: 'http' | 'tcp'): fc.Arbitrary<RbacFacts> {
  const like = (pattern: RegExp, ...more: string[]) =>
    texts([...words.filter((word) => pattern.test(word)), ...more]);
  const address = like(/^\d+\.\d+\.\d+\.\d+/, '10.10.10.10', '7.7.7.7').map(
    (range) => range.split('/')[0] ?? '',
  );
  const port = like(/^\d+$/, '80', '1').map(Number);
  const plain = /^[\w.[\]()+-]*[*]?[\w.[\]()-]*$/;
  const namespace = like(plain, 'ns', 'foo', 'ns-1').filter((text) => text !== '' && !text.includes('/'));
  const account = like(plain, 'sa', 'sa-only').filter((text) => text !== '' && !text.includes('/'));
  const domain = fc.constantFrom(
    'cluster.local',
    'td1',
    'some-td',
    'another.local',
    'untrusted',
    'badly',
    'else',
  );
  const identity = fc.oneof(
    fc.tuple(domain, namespace, account).map(([td, ns, sa]) => `spiffe://${td}/ns/${ns}/sa/${sa}`),
    like(/\/sa\//, 'a/ns/b/sa/c').map((name) => `spiffe://${name}`),
  );
  const claim = like(plain);
  const token = fc.record({
    iss: like(plain, 'https://example.com'),
    sub: fc.oneof(claim, fc.constant('')),
    aud: fc.oneof(claim, fc.array(claim, { maxLength: 2 })),
    azp: claim,
    nested1: fc.record({ nested2: fc.oneof(claim, fc.array(claim, { maxLength: 2 })) }),
  });
  const metadata = fc.record(
    {
      'envoy.filters.http.jwt_authn': token.map((payload) => ({ payload })),
      'envoy.filters.a.b': fc.record({ c: claim }),
    },
    { requiredKeys: [] },
  );
  const http = protocol === 'http';
  const headers = http
    ? fc.record(
        { ':authority': like(plain), ':method': like(plain, 'GET'), 'x-header': claim },
        { requiredKeys: [':authority', ':method'] },
      )
    : fc.constant({});
  return fc
    .record({
      headers,
      path: http ? like(/\//, '/other') : fc.constant(undefined),
      destinationIp: address,
      destinationPort: port,
      sni: fc.oneof(like(plain), fc.constant('')),
      principal: fc.option(identity, { nil: undefined }),
      directRemoteIp: address,
      remoteIp: address,
      metadata,
    })
    .map((facts) => ({
      ...facts,
      unknown: unknownCondition,
      headers: Object.fromEntries(
        Object.entries(facts.headers).filter(([, value]) => value !== undefined),
      ) as Record<string, string>,
    }));
}
