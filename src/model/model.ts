import type { ConfigObject } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import type { Position } from '../config/source-map.ts';
import { selectsLabels } from '../kit/labels.ts';
import { defaultMeshConfig, type MeshConfig, overlayMeshConfig } from '../registry/mesh-config.ts';
import type { Pod } from '../registry/schema.ts';
import type { Workload } from '../registry/service.ts';
import { workloadOfEntry, workloadOfPod } from '../registry/workloads.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import type { ExplicitCapture, MeshProxy } from '../snapshot/proxy.ts';
import type { Collection } from '../snapshot/query.ts';
import type { Resource } from '../snapshot/resource.ts';
import type { World } from '../snapshot/world.ts';
import { type Filled, fill, shapesFilling } from './fill.ts';
import { hasProxyContainer, isProxyOnly } from './fill-pods.ts';
import { parseMeshSettings } from './mesh-settings.ts';
import { idOf, inNamespaceOf, type ModelObject, type ObjectId, objectsOfKind } from './model-objects.ts';
import { type CompileInput, StandingCompile } from './standing-compile.ts';
import { proxyOfWorkload } from './workload-proxy.ts';

export interface ModelOptions {
  /** What the features make of a mesh: `roots.collections` of src/pipeline/roots.ts. */
  readonly roots: readonly Collection<Resource>[];
  /** Settings below the ConfigMap `istio` of the root namespace. Default: Istio's. */
  readonly mesh?: MeshConfig;
  /** Allocations of workloads that are captured explicitly, by `namespace/name`; the others are redirected by the kernel. */
  readonly captures?: ReadonlyMap<string, ExplicitCapture>;
  /** Proxies that are connected to the mesh: each stands in place of the one that its workload is taken to have. */
  readonly proxies?: readonly MeshProxy[];
  /**
   * True (the default): the objects are as people write them, and what a cluster would add is made up: pods of Deployments and the
   * like, addresses, endpoints, gateway proxies. False: they are a running mesh's, and what is not there is not there.
   */
  readonly fill?: boolean;
  /**
   * True: of a proxy's resources only those are made that somebody looks at, for a single question. False (the default): all of them, which
   * the next proxy of the class and the next model of the family share.
   */
  readonly onDemand?: boolean;
}

/** A workload that can be asked about. */
export interface ModelWorkload {
  /** `namespace/name`. */
  readonly key: string;
  readonly workload: Workload;
  /** Absent: it has no proxy. */
  readonly proxy?: MeshProxy;
}

/** Objects that come or change, and ids (`group/Kind|namespace/name`) of those that go. */
export interface ModelChange {
  readonly objects?: readonly ModelObject[];
  readonly remove?: readonly ObjectId[];
}

/** A mesh that can be asked about, made of configuration objects alone. Immutable; pure. */
export interface Model {
  readonly mesh: MeshConfig;
  /** By `namespace/name`, sorted. */
  readonly workloads: ReadonlyMap<string, ModelWorkload>;
  /** What was taken for granted where the objects say nothing, in plain words. */
  readonly assumptions: readonly string[];
  /** The objects given, by id. */
  readonly objects: ReadonlyMap<ObjectId, ModelObject>;
  /** Services, endpoints, workloads and configuration as the compile sees them. Read it before another model of the family is asked. */
  readonly world: World;
  /** What a proxy would be sent: compiled on demand, kept, and shared by the proxies of a class. */
  resources(proxy: MeshProxy): DecodedResources;
  /** Where the field that decided something stands in the files; undefined where the object came from no file. */
  positionOf(origin: Origin): Position | undefined;
  /** Another model; both stay usable, and what the change does not concern is shared and not compiled again. */
  update(change: ModelChange): Model;
}

/** Makes a model. Objects that name no namespace are in `default`; of two with one id the later stands. */
export function createModel(objects: readonly ModelObject[], options: ModelOptions): Model {
  const byId = new Map<ObjectId, ModelObject>();
  for (const one of objects) put(byId, one);
  const base = options.mesh ?? defaultMeshConfig;
  return new ObjectModel(byId, options, new StandingCompile(options.roots, base), undefined);
}

function put(objects: Map<ObjectId, ModelObject>, one: ModelObject): void {
  const object = inNamespaceOf(one.object);
  objects.set(idOf(object), object === one.object ? one : { ...one, object });
}

const noFilling: Filled = { objects: new Map(), assumptions: [] };

class ObjectModel implements Model {
  readonly objects: ReadonlyMap<ObjectId, ModelObject>;
  readonly mesh: MeshConfig;
  readonly workloads: ReadonlyMap<string, ModelWorkload>;
  readonly assumptions: readonly string[];
  readonly #options: ModelOptions;
  readonly #compile: StandingCompile;
  readonly #filled: Filled;
  readonly #input: CompileInput;
  readonly #resources = new Map<MeshProxy, DecodedResources>();
  #positions: ReadonlyMap<string, ModelObject> | undefined;

  constructor(
    objects: ReadonlyMap<ObjectId, ModelObject>,
    options: ModelOptions,
    compile: StandingCompile,
    before:
      | { readonly model: ObjectModel; readonly sameFilling: boolean; readonly sameMesh: boolean }
      | undefined,
  ) {
    this.objects = objects;
    this.#options = options;
    this.#compile = compile;
    const settings = before?.sameMesh
      ? { mesh: before.model.mesh, problem: undefined }
      : settingsOf(objects, options.mesh ?? defaultMeshConfig);
    this.mesh = settings.mesh;
    const same = before?.sameFilling === true && before.sameMesh;
    if (options.fill === false) this.#filled = noFilling;
    else this.#filled = same ? before.model.#filled : fill(objects, this.mesh.rootNamespace);
    this.assumptions = [...(settings.problem ? [settings.problem] : []), ...this.#filled.assumptions];
    this.#input = { objects: inForce(objects, this.#filled, this.mesh), mesh: this.mesh };
    this.workloads = workloadsOf(this.#input, options, before?.model.workloads);
  }

  get world(): World {
    return this.#compile.world(this.#input);
  }

  resources(proxy: MeshProxy): DecodedResources {
    let found = this.#resources.get(proxy);
    if (!found) {
      found = this.#options.onDemand
        ? this.#compile.resourcesOnDemand(this.#input, proxy)
        : this.#compile.resources(this.#input, proxy);
      this.#resources.set(proxy, found);
    }
    return found;
  }

  positionOf({ kind, namespace, name, path }: Origin): Position | undefined {
    this.#positions ??= new Map(
      [...this.objects.values()]
        .filter(({ positions }) => positions !== undefined)
        .flatMap((one) => originNames(one.object).map((id) => [id, one] as const)),
    );
    return this.#positions.get(`${kind}/${namespace}/${name}`)?.positions?.at(path);
  }

  update({ objects = [], remove = [] }: ModelChange): Model {
    const next = new Map(this.objects);
    const touched = [
      ...objects.map(({ object }) => object),
      ...remove.flatMap((id) => this.objects.get(id)?.object ?? []),
    ];
    for (const id of remove) next.delete(id);
    for (const one of objects) put(next, one);
    return new ObjectModel(next, this.#options, this.#compile, {
      model: this,
      sameFilling: !touched.some(shapesFilling),
      sameMesh: !touched.some(({ kind, apiVersion }) => kind === 'ConfigMap' && apiVersion === 'v1'),
    });
  }
}

/** Origins name a kind without its group; where two groups share a kind, the one that is not Istio's with it. */
function originNames({ apiVersion, kind, metadata }: ConfigObject): string[] {
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  const rest = `${metadata.namespace ?? ''}/${metadata.name}`;
  const bare = group === '' || group.endsWith('.istio.io') || kind !== 'Gateway' ? [`${kind}/${rest}`] : [];
  return [...bare, `${kind}.${group}/${rest}`];
}

function settingsOf(
  objects: ReadonlyMap<ObjectId, ModelObject>,
  base: MeshConfig,
): { mesh: MeshConfig; problem?: string } {
  const object = objects.get(`/ConfigMap|${base.rootNamespace}/istio`)?.object;
  const text = (object?.data as Record<string, string> | undefined)?.mesh;
  if (text === undefined) return { mesh: base };
  const parsed = parseMeshSettings(text);
  if (parsed.ok) return { mesh: overlayMeshConfig(base, parsed.value) };
  return {
    mesh: base,
    problem: `the mesh has the settings of an installation without ConfigMap istio: its data.mesh cannot be read (${parsed.error})`,
  };
}

/** The objects that the compile sees: what is filled in, and of the selected namespaces alone. */
function inForce(
  objects: ReadonlyMap<ObjectId, ModelObject>,
  filled: Filled,
  mesh: MeshConfig,
): ReadonlyMap<ObjectId, ConfigObject> {
  const all = new Map<ObjectId, ConfigObject>();
  for (const [id, { object }] of objects) all.set(id, object);
  for (const [id, object] of filled.objects) all.set(id, object);
  const { discoverySelectors: selectors, rootNamespace } = mesh;
  if (selectors.length === 0) return all;
  const held = (namespace: string): boolean => {
    const labels = all.get(`/Namespace|/${namespace}`)?.metadata.labels ?? {};
    return (
      namespace === '' ||
      namespace === rootNamespace ||
      selectors.some((selector) => selectsLabels(selector, labels))
    );
  };
  for (const [id, { metadata }] of all) if (!held(metadata.namespace ?? '')) all.delete(id);
  return all;
}

function workloadsOf(
  { objects, mesh }: CompileInput,
  { captures, proxies = [] }: ModelOptions,
  before: ReadonlyMap<string, ModelWorkload> | undefined,
): ReadonlyMap<string, ModelWorkload> {
  const found = new Map<string, { workload: Workload; pod?: Pod }>();
  const asMap = new Map([...objects].map(([id, object]) => [id, { object }] as const));
  const nodes = new Map(
    [...objectsOfKind(asMap, '/Node')].map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
  );
  for (const pod of objectsOfKind<Pod>(asMap, '/Pod')) {
    const workload = workloadOfPod(pod, nodes.get(pod.spec?.nodeName ?? '') ?? {}, 'Kubernetes');
    if (workload) found.set(`${workload.namespace}/${workload.name}`, { workload, pod });
  }
  for (const entry of objectsOfKind(asMap, 'networking.istio.io/WorkloadEntry')) {
    const workload = workloadOfEntry(entry as never, 'Kubernetes');
    const key = `${workload.namespace}/${workload.name}`;
    const pod = found.get(key)?.pod;
    found.set(key, { workload, ...(pod ? { pod } : {}) });
  }
  const connected = new Map(proxies.map((proxy) => [`${proxy.namespace}/${proxy.name}`, proxy]));
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    sorted.map(([key, { workload, pod }]) => {
      const known = connected.get(key);
      if (known) return [key, { key, workload, proxy: known }];
      const type = proxyTypeOf(workload, pod);
      const capture = captures?.get(key);
      if (!type || workload.addresses.length === 0) return [key, { key, workload }];
      const proxy = proxyOfWorkload(workload, {
        type,
        domainSuffix: mesh.domainSuffix,
        ...(capture ? { capture } : {}),
      });
      return [key, { key, workload, proxy: sameProxy(before?.get(key)?.proxy, proxy) }];
    }),
  );
}

/** The proxy of the model before where nothing of it changed: what was compiled for it serves on. */
function sameProxy(before: MeshProxy | undefined, now: MeshProxy): MeshProxy {
  return before && JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

function proxyTypeOf(workload: Workload, pod: Pod | undefined): 'sidecar' | 'router' | undefined {
  if (pod && isProxyOnly(pod)) return 'router';
  if (workload.tlsMode === 'istio') return 'sidecar';
  return pod && hasProxyContainer(pod) ? 'sidecar' : undefined;
}

/** Splits `namespace/name`. */
