import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { createBuiltInRegistry } from '../../../src/config/kinds/built-in-kinds.ts';
import { type ConfigObject, objectKey, type StatusCondition } from '../../../src/config/object.ts';
import { createAdmitObject } from '../../../src/control-plane/admit-object.ts';
import { withStatus } from '../../../src/control-plane/with-status.ts';
import { decodeStatus, statusesType } from '../../../src/pipeline/statuses.ts';
import { defaultMeshConfig } from '../../../src/registry/mesh-config.ts';
import { rebuild } from '../../../src/snapshot/rebuild.ts';
import { makeProxy } from '../../golden/mesh.ts';
import { worldOfYaml } from '../../support/mesh-world.ts';
import type { CaseOutcome } from '../group.ts';
import { makeCertificates } from './certificates.ts';
import { conversionRegistry } from './conversion-registry.ts';
import { knownDifferences } from './known-differences.ts';
import { statuses } from './suite-mesh.ts';

interface ConversionCase {
  name: string;
  input: string;
  expectedStatus: string;
  domainSuffix: string;
  crdInvalidOnPurpose?: string[];
}

interface Part {
  name?: string;
  controllerName?: string;
  attachedRoutes?: number;
  supportedKinds?: { kind: string }[];
  parentRef?: object;
  ancestorRef?: { namespace?: string };
  conditions?: StatusCondition[];
}

interface Status {
  conditions?: StatusCondition[];
  listeners?: Part[];
  parents?: Part[];
  ancestors?: Part[];
  addresses?: unknown[];
  attachedListenerSets?: number;
}

/** `istio-conversion-cases.json`: the statuses that Istio gives, without its wording. */
export function runConversionCases(folder: string): CaseOutcome[] {
  const directory = join(folder, 'gateway-api');
  const file = join(directory, 'istio-conversion-cases.json');
  if (!existsSync(file)) return [];
  const only = process.env.GWAPI_TEST;
  const cases = (JSON.parse(readFileSync(file, 'utf8')) as ConversionCase[]).filter(
    ({ name }) => !only || new RegExp(only).test(name),
  );
  const { checks } = makeCertificates();
  return cases.map((one) => {
    const differences = differencesOf(directory, one, checks);
    const known = knownDifferences[one.name] ?? {};
    const unexplained = differences.filter(
      (line) => !Object.keys(known).some((part) => line.startsWith(part)),
    );
    const name = `istio-conversion/${one.name}`;
    if (unexplained.length > 0) return { name, outcome: 'failed', why: unexplained.join('\n          ') };
    const [why] = Object.values(known);
    return why !== undefined && differences.length > 0
      ? { name, outcome: 'skipped', why }
      : { name, outcome: 'passed' };
  });
}

function read(file: string): ConfigObject[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).flatMap(
    (document) => (document.toJS() as ConfigObject | null) ?? [],
  );
}

function differencesOf(
  directory: string,
  one: ConversionCase,
  certificate: { certificate: string; key: string },
): string[] {
  const admit = createAdmitObject(createBuiltInRegistry());
  const input = read(join(directory, one.input)).map((object): ConfigObject => {
    const placed = { ...object, metadata: { ...object.metadata, generation: 1 } };
    const verdict = admit(placed);
    // What the case wants past the schema goes in as it is.
    return verdict.issues.some(({ severity }) => severity === 'error') ? placed : verdict.object;
  });
  const mesh = { ...defaultMeshConfig, domainSuffix: one.domainSuffix };
  const world = worldOfYaml(
    [...conversionRegistry(input, certificate), ...input.map((object) => stringify(object))],
    mesh,
  );
  const made = rebuild(world, mesh, makeProxy(), [statuses], {
    onFailure: ({ error }) => {
      throw error;
    },
  }).get(statusesType);
  return read(join(directory, one.expectedStatus)).flatMap((expected) => {
    const id = `${expected.apiVersion.split('/')[0]}/${expected.kind}|${objectKey(expected)}`;
    const object = input.find(
      (candidate) => candidate.kind === expected.kind && keyOf(candidate) === keyOf(expected),
    );
    const resource = made?.get(id);
    const status =
      resource && object ? withStatus(object, decodeStatus(resource), 1, new Date(0)).status : object?.status;
    const wanted = (expected.status ?? {}) as Status;
    return compare(`${expected.kind} ${keyOf(expected)}`, (status ?? {}) as Status, wanted);
  });
}

function keyOf({ kind, metadata }: ConfigObject): string {
  return kind === 'GatewayClass' ? metadata.name : `${metadata.namespace ?? 'default'}/${metadata.name}`;
}

function compare(what: string, found: Status, wanted: Status): string[] {
  const lists = (['listeners', 'parents', 'ancestors'] as const).flatMap((field) =>
    compareParts(`${what} ${field}`, found[field] ?? [], wanted[field] ?? []),
  );
  const plain = [
    ...same(`${what} addresses`, found.addresses ?? [], wanted.addresses ?? []),
    ...same(
      `${what} attachedListenerSets`,
      found.attachedListenerSets ?? 0,
      wanted.attachedListenerSets ?? 0,
    ),
  ];
  return [...compareConditions(what, found.conditions ?? [], wanted.conditions ?? []), ...lists, ...plain];
}

function same(what: string, found: unknown, wanted: unknown): string[] {
  return JSON.stringify(found) === JSON.stringify(wanted)
    ? []
    : [`${what}: ${JSON.stringify(found)}, recorded ${JSON.stringify(wanted)}`];
}

function compareConditions(
  what: string,
  found: readonly StatusCondition[],
  wanted: readonly StatusCondition[],
): string[] {
  // What we say beyond the API (of certificates that time made useless) nobody could have recorded.
  const types = [...new Set([...found, ...wanted].map(({ type }) => type))].filter(
    (type) => !type.startsWith('ostria.io/'),
  );
  const text = (all: readonly StatusCondition[], type: string): string => {
    const one = all.find((condition) => condition.type === type);
    return one ? `${one.status}/${one.reason}` : 'absent';
  };
  return types.flatMap((type) => same(`${what} ${type}`, text(found, type), text(wanted, type)));
}

/** References compare by their words; the recorded ones leave the namespace of a Gateway out. */
function idOf(part: Part): string {
  const { namespace: _, ...ancestor } = part.ancestorRef ?? {};
  const { group, kind, ...parent } = (part.parentRef ?? {}) as { group?: string; kind?: string };
  const shared = group === undefined || group === 'gateway.networking.k8s.io' ? {} : { group };
  const named = kind === undefined || kind === 'Gateway' ? {} : { kind };
  const fields = Object.entries({ ...shared, ...named, ...parent, ...ancestor }).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return [part.controllerName ?? '', part.name ?? '', JSON.stringify(Object.fromEntries(fields))]
    .join(' ')
    .trim();
}

function compareParts(what: string, found: readonly Part[], wanted: readonly Part[]): string[] {
  const ids = [...new Set([...found, ...wanted].map(idOf))];
  return ids.flatMap((id) => {
    const one = found.find((part) => idOf(part) === id);
    const other = wanted.find((part) => idOf(part) === id);
    const at = `${what} ${id}`;
    if (!one || !other) return [`${at}: ${one ? 'there' : 'absent'}, recorded ${other ? 'there' : 'absent'}`];
    return [
      ...compareConditions(at, one.conditions ?? [], other.conditions ?? []),
      ...same(`${at} attachedRoutes`, one.attachedRoutes, other.attachedRoutes),
      ...same(
        `${at} supportedKinds`,
        one.supportedKinds?.map(({ kind }) => kind),
        other.supportedKinds?.map(({ kind }) => kind),
      ),
    ];
  });
}
