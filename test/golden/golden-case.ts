import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { parseAllDocuments, stringify } from 'yaml';
import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { envoyTypes } from '../../src/config/envoy-value/envoy-types.ts';
import type { Planned } from '../../src/pipeline/planned.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { type LazyUsage, usageChanges } from '../../src/plan/lazy.ts';
import { planToData } from '../../src/plan/serialize.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { defineCollection, defineQuery } from '../../src/snapshot/query.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { worldOfYaml } from '../support/mesh-world.ts';
import { makeProxy, type ProxySpec } from './mesh.ts';

/**
 * One folder `testdata/<case>` of a feature. The first document of `in.yaml` (kind GoldenCase) says who asks and what of the
 * answer is the feature's own; the others are the mesh.
 */
export interface GoldenCase {
  readonly name: string;
  readonly directory: string;
  readonly proxies: Readonly<Record<string, ProxySpec>>;
  readonly mesh: MeshConfig;
  /** Names of resources and plan nodes that are shown (regular expressions). */
  readonly show: readonly string[];
  /** Keys of Envoy's JSON that are shown, with all below them; absent: everything. */
  readonly keep: readonly string[] | undefined;
  /** What lazy proxies asked for: identity (`namespace/service account/app`) → hosts and unknown names. */
  readonly usage: Readonly<Record<string, Partial<LazyUsage>>>;
  /** Plan slots that are shown; absent: all. */
  readonly slots: readonly string[] | undefined;
  /** Objects, a YAML text each. */
  readonly objects: readonly string[];
}

export function goldenCases(root: string): GoldenCase[] {
  return globSync('src/features/*/*/testdata/*/in.yaml', { cwd: root })
    .sort()
    .map((file) => readCase(join(root, file)));
}

function readCase(file: string): GoldenCase {
  const [head, ...objects] = parseAllDocuments(readFileSync(file, 'utf8')).map((document) =>
    document.toString(),
  );
  const header = parseAllDocuments(head ?? '')[0]?.toJS() as Record<string, unknown> | undefined;
  if (header?.kind !== 'GoldenCase')
    throw new Error(`${file}: the first document must be of kind GoldenCase`);
  const directory = dirname(file);
  return {
    name: `${directory.split('/').slice(-4, -2).join('/')}: ${basename(directory)}`,
    directory,
    proxies: (header.proxies as Record<string, ProxySpec> | undefined) ?? { client: {} },
    mesh: { ...defaultMeshConfig, ...(header.mesh as Partial<MeshConfig>) },
    show: (header.show as string[] | undefined) ?? ['.*'],
    keep: header.keep as string[] | undefined,
    usage: (header.usage as GoldenCase['usage'] | undefined) ?? {},
    slots: header.slots as string[] | undefined,
    objects,
  };
}

let captured: Planned[] = [];
const plans = defineCollection<Resource>(
  'golden.plans',
  defineQuery('golden.plans-keys', () => ['all']),
  defineQuery('golden.plans-item', (view, _key: string) => {
    captured = roots.plans.flatMap((plan) => plan.list(view));
    return undefined;
  }),
);

export interface Compiled {
  readonly plans: readonly Planned[];
  readonly resources: ReadonlyMap<string, ReadonlyMap<string, Resource>>;
}

/** Compiles the case for each of its proxies from scratch; a failing item fails the test. */
export function compileCase(golden: GoldenCase, objects = golden.objects): Map<string, Compiled> {
  const world = worldOfYaml(objects, golden.mesh);
  world.apply(
    Object.entries(golden.usage).flatMap(([identity, used]) =>
      usageChanges(identity, { hosts: [], unknown: [], full: false, ...used }),
    ),
  );
  const result = new Map<string, Compiled>();
  for (const [name, spec] of Object.entries(golden.proxies)) {
    captured = [];
    const resources = rebuild(world, golden.mesh, makeProxy(spec), [...roots.collections, plans], {
      onFailure: ({ collection, key, error }) => {
        throw new Error(`${golden.name}: ${collection} ${key ?? ''} failed`, { cause: error });
      },
    });
    result.set(name, { plans: captured, resources });
  }
  return result;
}

const schemas: readonly (readonly [string, string, DescMessage])[] = [
  ['clusters', typeUrls.cluster, ClusterSchema],
  ['endpoints', typeUrls.endpoints, ClusterLoadAssignmentSchema],
  ['listeners', typeUrls.listener, ListenerSchema],
  ['routes', typeUrls.route, RouteConfigurationSchema],
  ['virtualHosts', typeUrls.virtualHost, VirtualHostSchema],
  ['secrets', typeUrls.secret, SecretSchema],
];

function isShown(golden: GoldenCase, name: string): boolean {
  return golden.show.some((pattern) => new RegExp(`^(?:${pattern})$`).test(name));
}

/** The resources as Envoy's JSON, in YAML. */
export function envoyText(golden: GoldenCase, compiled: ReadonlyMap<string, Compiled>): string {
  const result: Record<string, Record<string, unknown[]>> = {};
  for (const [proxy, { resources }] of compiled) {
    const types: Record<string, unknown[]> = {};
    for (const [label, typeUrl, schema] of schemas)
      for (const resource of resources.get(typeUrl)?.values() ?? []) {
        if (!isShown(golden, resource.name)) continue;
        const json = toJson(schema, fromBinary(schema, resource.bytes), { registry: envoyTypes });
        const kept = golden.keep ? withName(json, keepKeys(json, new Set(golden.keep))) : json;
        const list = types[label] ?? [];
        list.push(kept);
        types[label] = list;
      }
    result[proxy] = types;
  }
  return stringify(result, { lineWidth: 130, aliasDuplicateObjects: false });
}

function withName(from: JsonValue, kept: JsonValue | undefined): JsonValue {
  const { name, cluster, clusterName } = from as Record<string, JsonValue>;
  const label: Record<string, JsonValue> =
    name !== undefined ? { name } : { cluster: clusterName ?? cluster ?? '' };
  return { ...label, ...(kept as Record<string, JsonValue> | undefined) };
}

/** Only what lies under the keys, and the way there with its names. */
function keepKeys(value: JsonValue, keys: ReadonlySet<string>): JsonValue | undefined {
  if (Array.isArray(value)) {
    const kept = value.flatMap((item) => {
      const inner = keepKeys(item, keys);
      return inner === undefined ? [] : [inner];
    });
    return kept.length > 0 ? kept : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const result: Record<string, JsonValue> = {};
  for (const [key, inner] of Object.entries(value)) {
    const kept = keys.has(key) ? inner : keepKeys(inner, keys);
    if (kept !== undefined) result[key] = kept;
  }
  if (Object.keys(result).length === 0) return undefined;
  return value.name === undefined ? result : { name: value.name, ...result };
}

/** The plan nodes in YAML. */
export function planText(golden: GoldenCase, compiled: ReadonlyMap<string, Compiled>): string {
  const result: Record<string, Record<string, unknown[]>> = {};
  for (const [proxy, { plans: planned }] of compiled) {
    const types: Record<string, unknown[]> = {};
    for (const { type, node } of planned) {
      const { name, cluster } = node as { name?: string; cluster?: string };
      if (!isShown(golden, name ?? cluster ?? '')) continue;
      const list = types[type] ?? [];
      const data = onlySlots(planToData(node), golden.slots);
      // A decorator's golden shows its slots, not the node they are on.
      list.push(
        golden.slots?.length
          ? withName(data as JsonValue, keepKeys(data as JsonValue, new Set(['slots'])))
          : data,
      );
      types[type] = list;
    }
    result[proxy] = types;
  }
  return stringify(result, { lineWidth: 130, aliasDuplicateObjects: false });
}

function onlySlots(value: unknown, names: readonly string[] | undefined): unknown {
  if (!names || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => onlySlots(item, names));
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key !== 'slots') result[key] = onlySlots(inner, names);
    else {
      const shown = Object.fromEntries(
        Object.entries(inner as object).filter(([name]) => names.includes(name)),
      );
      if (Object.keys(shown).length > 0) result.slots = shown;
    }
  }
  return result;
}
