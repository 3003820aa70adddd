import {
  type EnvoyFilter,
  patchId,
  selectsProxy,
  splitPatchId,
} from '../../features/extensibility/envoy-filter/schema.ts';
import type { Model } from '../../model/model.ts';
import { objectsOfKind } from '../../model/model-objects.ts';
import { roots } from '../../pipeline/roots.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import { rebuild } from '../../snapshot/rebuild.ts';
import { type Resource, removedType, typeUrls } from '../../snapshot/resource.ts';

/** What becomes of one patch. */
export interface CheckedPatch {
  /** `namespace/name` of the EnvoyFilter. */
  readonly filter: string;
  readonly index: number;
  readonly applyTo: string;
  readonly operation: string;
  /** `file:line:column`; '' where the object came from no file. */
  readonly at: string;
  readonly state: 'hits' | 'dead' | 'no proxy' | 'not checked';
  /** Proxies in which it changes something, of those that its filter selects. */
  readonly proxies: readonly string[];
  readonly selected: number;
  /** Resources that it changes: `Listener 0.0.0.0_80`. */
  readonly resources: readonly string[];
  /** Why it is dead, and what it could match instead. */
  readonly why?: string;
}

/** A resource that patches of several filters change, in the order in which they are applied. */
export interface SharedResource {
  readonly resource: string;
  readonly patches: readonly string[];
}

/** A resource that an Envoy refuses. */
export interface BrokenResource {
  readonly proxy: string;
  readonly resource: string;
  /** What Envoy says. */
  readonly message: string;
  /** The patches that had a part in it, in their order. */
  readonly patches: readonly string[];
}

export interface EnvoyFilterCheck {
  readonly patches: readonly CheckedPatch[];
  /** What the Envoy that was asked refuses; absent: none was asked. */
  readonly broken?: readonly BrokenResource[];
  readonly shared: readonly SharedResource[];
}

/** Names told where a patch matches nothing. */
const mostNames = 8;

/** Compiles every proxy of a model as the control plane does, and says what each patch came to. */
export function checkEnvoyFilters(model: Model): EnvoyFilterCheck {
  const filters = [...objectsOfKind<EnvoyFilter>(model.objects, 'networking.istio.io/EnvoyFilter')];
  const proxies = [...model.workloads.values()].flatMap(({ proxy }) => proxy ?? []);
  const compiled = new Map<MeshProxy, ReadonlyMap<string, ReadonlyMap<string, Resource>>>();
  const hits = new Map<string, { proxies: Set<string>; resources: Set<string> }>();
  const shared = new Map<string, readonly string[]>();
  for (const proxy of proxies) {
    if (!filters.some((filter) => selectsProxy(filter, proxy, model.mesh.rootNamespace))) continue;
    const resources = rebuild(model.world, model.mesh, proxy, roots.collections);
    compiled.set(proxy, resources);
    for (const resource of [...resources.values()].flatMap((byName) => [...byName.values()]))
      note(resource, proxy, hits, shared);
  }
  const patches = filters.flatMap((filter) => checkFilter(model, filter, proxies, compiled, hits));
  return {
    patches,
    shared: [...shared].map(([resource, ids]) => ({ resource, patches: ids.map(patchWords) })),
  };
}

/** Proxies that are loaded into an Envoy: those whose patched resources are the same are loaded once. */
const mostLoaded = 8;

/** The same, with what a real Envoy says of what was made for the proxies that filters select. */
export async function checkInEnvoy(model: Model, envoy: string): Promise<EnvoyFilterCheck> {
  const { loadInEnvoy } = await import('./load-in-envoy.ts');
  const broken: BrokenResource[] = [];
  const loaded = new Set<string>();
  for (const { proxy } of model.workloads.values()) {
    if (!proxy || loaded.size >= mostLoaded) continue;
    const resources = rebuild(model.world, model.mesh, proxy, roots.collections);
    const patched = [...resources.values()]
      .flatMap((all) => [...all.values()])
      .filter(({ hints }) => hints?.patches);
    const fingerprint = patched
      .map(({ version }) => version)
      .sort()
      .join();
    if (fingerprint === '' || loaded.has(fingerprint)) continue;
    loaded.add(fingerprint);
    for (const { typeUrl, details } of await loadInEnvoy(envoy, proxy, resources))
      for (const { name, message } of details) {
        const resource = resources.get(typeUrl)?.get(name);
        broken.push({
          proxy: `${proxy.namespace}/${proxy.name}`,
          resource: resource ? resourceWords(resource) : name,
          message: messageOn(name, details, message),
          patches: (resource?.hints?.patches ?? []).map(patchWords),
        });
      }
  }
  return { ...checkEnvoyFilters(model), broken };
}

/** Envoy tells of all that it refuses of one response in one text, name by name. */
function messageOn(name: string, all: readonly { readonly name: string }[], message: string): string {
  const start = message.indexOf(`${name}: `);
  if (start < 0) return message;
  const rest = message.slice(start + name.length + 2);
  const ends = all.map((other) => rest.indexOf(`, ${other.name}: `)).filter((at) => at >= 0);
  return rest.slice(0, Math.min(rest.length, ...ends));
}

function note(
  resource: Resource,
  proxy: MeshProxy,
  hits: Map<string, { proxies: Set<string>; resources: Set<string> }>,
  shared: Map<string, readonly string[]>,
): void {
  const patches = resource.hints?.patches ?? [];
  const words = resourceWords(resource);
  for (const id of patches) {
    const hit = hits.get(id) ?? { proxies: new Set<string>(), resources: new Set<string>() };
    hit.proxies.add(`${proxy.namespace}/${proxy.name}`);
    hit.resources.add(words);
    hits.set(id, hit);
  }
  if (new Set(patches.map((id) => splitPatchId(id).key)).size > 1) shared.set(words, patches);
}

function checkFilter(
  model: Model,
  filter: EnvoyFilter,
  proxies: readonly MeshProxy[],
  compiled: ReadonlyMap<MeshProxy, ReadonlyMap<string, ReadonlyMap<string, Resource>>>,
  hits: ReadonlyMap<string, { proxies: Set<string>; resources: Set<string> }>,
): CheckedPatch[] {
  const { namespace = '', name } = filter.metadata;
  const key = `${namespace}/${name}`;
  const selected = proxies.filter((proxy) => selectsProxy(filter, proxy, model.mesh.rootNamespace));
  return (filter.spec?.configPatches ?? []).map((patch, index) => {
    const position = model.positionOf({
      kind: 'EnvoyFilter',
      namespace,
      name,
      path: `spec.configPatches[${index}]`,
    });
    const hit = hits.get(patchId(key, index));
    const applyTo = patch.applyTo ?? 'INVALID';
    const base = {
      filter: key,
      index,
      applyTo,
      operation: patch.patch?.operation ?? 'INVALID',
      at: position ? `${position.file}:${position.line}:${position.column}` : '',
      selected: selected.length,
      proxies: [...(hit?.proxies ?? [])].sort(),
      resources: [...(hit?.resources ?? [])].sort(),
    };
    if (hit) return { ...base, state: 'hits' as const };
    if (selected.length === 0) return { ...base, state: 'no proxy' as const, why: whyNoProxy(filter, model) };
    if (applyTo === 'BOOTSTRAP')
      return {
        ...base,
        state: 'not checked' as const,
        why: 'it changes how Envoy is started: the agent tries it with Envoy, and the condition Matched says what came of it',
      };
    const held = selected.flatMap((proxy) => [...(compiled.get(proxy)?.values() ?? [])]);
    return { ...base, state: 'dead' as const, why: whyDead(patch, held, selected) };
  });
}

function whyNoProxy({ metadata, spec }: EnvoyFilter, model: Model): string {
  const labels = Object.entries(spec?.workloadSelector?.labels ?? {}).map(
    ([name, value]) => `${name}=${value}`,
  );
  const where =
    metadata.namespace === model.mesh.rootNamespace ? 'in the mesh' : `in namespace ${metadata.namespace}`;
  return labels.length > 0
    ? `no proxy ${where} has the labels ${labels.join(', ')}`
    : `there is no proxy ${where}`;
}

type ConfigPatch = NonNullable<NonNullable<EnvoyFilter['spec']>['configPatches']>[number];

/** The context first: it is what is wrong most often. Then the name that is asked for, and those that there are. */
function whyDead(
  { applyTo, match = {} }: ConfigPatch,
  held: readonly ReadonlyMap<string, Resource>[],
  selected: readonly MeshProxy[],
): string {
  const { context = 'ANY' } = match;
  const routers = selected.filter(({ type }) => type === 'router').length;
  if (context === 'GATEWAY' && routers === 0) return 'its context is GATEWAY, and no gateway is selected';
  if (context.startsWith('SIDECAR') && routers === selected.length)
    return `its context is ${context}, and gateways alone are selected`;
  const type =
    applyTo === 'CLUSTER' ? typeUrls.cluster : routed.has(applyTo ?? '') ? typeUrls.route : typeUrls.listener;
  const names = new Set(
    held
      .flatMap((resources) => [...resources.values()])
      .filter(({ typeUrl }) => typeUrl === type)
      .flatMap(({ name, hints }) => [name, ...(hints?.known?.names ?? [])]),
  );
  const shown = [...names].sort().slice(0, mostNames);
  const more = names.size > shown.length ? ` and ${names.size - shown.length} more` : '';
  const { context: _context, proxy: _proxy, ...asked } = match;
  const wanted =
    Object.keys(asked).length > 0
      ? `it asks for ${JSON.stringify(asked)}`
      : 'it asks for nothing in particular';
  return `${wanted}; the ${selected.length} selected ${selected.length === 1 ? 'proxy holds' : 'proxies hold'} ${shown.join(', ') || 'none'}${more}`;
}

const routed: ReadonlySet<string> = new Set(['ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE']);

function resourceWords({ typeUrl, name }: Resource): string {
  const type = typeUrl === removedType ? 'removed' : typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
  return `${type} ${name}`;
}

function patchWords(id: string): string {
  const { key, index } = splitPatchId(id);
  return `${key} spec.configPatches[${index}]`;
}
