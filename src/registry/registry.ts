import { type ConfigObject, splitKey } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import { compareText, getOrMake, removeFromSet, setOrDelete } from '../kit/maps.ts';
import { entryOfPool, type InferencePoolSpec } from './inference-pool.ts';
import {
  endpointsOfEndpoints,
  endpointsOfEntries,
  endpointsOfSlices,
  serviceNameLabel,
  serviceOfKubernetes,
  type WorkloadLookup,
} from './kubernetes-services.ts';
import { LabelIndex } from './label-index.ts';
import { defaultMeshConfig, type MeshConfig, serviceSettings } from './mesh-config.ts';
import type {
  EndpointSlice,
  KubernetesEndpoints,
  KubernetesService,
  Pod,
  ServiceEntry,
  WorkloadEntry,
} from './schema.ts';
import { SelectorIndex } from './selector-index.ts';
import {
  type Endpoint,
  endpointSet,
  type MeshService,
  type ServiceClaim,
  type ServiceEndpoints,
  type Workload,
} from './service.ts';
import { endpointsOfEntry, mergeClaims, servicesOfEntry } from './service-entries.ts';
import { type HostAddress, saysSo, VirtualIps } from './virtual-ips.ts';
import { localityOfLabels, workloadOfEntry, workloadOfPod } from './workloads.ts';

/** A derived object of the world that came or changed (`value`) or went (undefined). */
export interface RegistryChange {
  kind: 'service' | 'endpoints' | 'workload';
  key: string;
  value: MeshService | ServiceEndpoints | Workload | undefined;
}

export interface RegistryOptions {
  readonly mesh?: MeshConfig;
  readonly clusterId?: string;
  /** Told where the status of a ServiceEntry (`namespace/name`) does not say the addresses that its hosts have. */
  readonly onVirtualIps?: (key: string, addresses: readonly HostAddress[]) => void;
}

/** An object that owns services: `k:ns/name` (Kubernetes Service) or `e:ns/name` (ServiceEntry). */
type Owner = string;

/**
 * Turns platform objects into services, endpoints and workloads, incrementally: a change recomputes only the owners that it
 * can concern, and only results that differ are reported.
 */
export class Registry {
  #mesh: MeshConfig;
  readonly #clusterId: string;
  readonly #services = new Map<string, KubernetesService>();
  readonly #serviceEntries = new Map<string, ServiceEntry>();
  readonly #virtualIps = new VirtualIps();
  readonly #onVirtualIps: NonNullable<RegistryOptions['onVirtualIps']>;
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #slicesOf = new Map<string, Set<string>>();
  readonly #endpoints = new Map<string, KubernetesEndpoints>();
  readonly #nodes = new Map<string, Readonly<Record<string, string>>>();
  readonly #rawPods = new Map<string, Pod>();
  readonly #podsOfNode = new Map<string, Set<string>>();
  readonly #pods = new Map<string, Workload>();
  readonly #podByAddress = new Map<string, string>();
  readonly #entries = new Map<string, Workload>();
  readonly #podLabels = new LabelIndex();
  readonly #entryLabels = new LabelIndex();
  readonly #selectors = new SelectorIndex();
  /** `pod key` or `@address` or `%node` → owners whose endpoints were made from it (or looked for it). */
  readonly #usedBy = new Map<string, Set<Owner>>();
  readonly #uses = new Map<Owner, Set<string>>();
  /** World keys that an owner made last. */
  readonly #made = new Map<Owner, Set<string>>();
  /** World key → owners that want it; the oldest wins. */
  readonly #claims = new Map<string, Map<Owner, ServiceClaim>>();
  readonly #published = new Map<string, ServiceClaim>();

  constructor(options: RegistryOptions = {}) {
    this.#onVirtualIps = options.onVirtualIps ?? (() => {});
    this.#mesh = options.mesh ?? defaultMeshConfig;
    this.#clusterId = options.clusterId ?? 'Kubernetes';
  }

  /** Applies one batch; returns what changed in the world. */
  apply(changes: readonly ConfigChange[]): RegistryChange[] {
    const dirty = new Set<Owner>();
    const out: RegistryChange[] = [];
    const entries = new Map<string, ServiceEntry | undefined>();
    for (const change of changes) {
      this.#take(change, dirty, out);
      if (change.kind === 'ServiceEntry') entries.set(change.key, this.#serviceEntries.get(change.key));
    }
    this.#allocate(entries, dirty);
    this.#recompute(dirty, out);
    return out;
  }

  #allocate(entries: ReadonlyMap<string, ServiceEntry | undefined>, dirty: Set<Owner>): void {
    if (entries.size === 0) return;
    const moved = this.#virtualIps.set(entries);
    for (const key of moved) dirty.add(`e:${key}`);
    for (const key of new Set([...entries.keys(), ...moved])) {
      const entry = this.#serviceEntries.get(key);
      const given = this.#virtualIps.of(key);
      if (entry && !saysSo(entry, given)) this.#onVirtualIps(key, given);
    }
  }

  /** New mesh settings may change defaults such as exportTo: then everything is made again. */
  setMesh(mesh: MeshConfig): RegistryChange[] {
    const before = this.#mesh;
    this.#mesh = mesh;
    if (serviceSettings.every((field) => deepEqual(before[field], mesh[field]))) return [];
    const out: RegistryChange[] = [];
    this.#recompute(this.#allOwners(), out);
    return out;
  }

  #allOwners(): Set<Owner> {
    return new Set([
      ...[...this.#services.keys()].map((key) => `k:${key}`),
      ...[...this.#serviceEntries.keys()].map((key) => `e:${key}`),
    ]);
  }

  #take(change: ConfigChange, dirty: Set<Owner>, out: RegistryChange[]): void {
    const { key, object } = change;
    switch (`${change.group}/${change.kind}`) {
      case '/Service':
        setOrDelete(this.#services, key, object as KubernetesService | undefined);
        this.#setSelector(`k:${key}`, key, (object as KubernetesService | undefined)?.spec?.selector);
        dirty.add(`k:${key}`);
        return;
      case 'networking.istio.io/ServiceEntry':
        setOrDelete(this.#serviceEntries, key, object as ServiceEntry | undefined);
        this.#setSelector(
          `e:${key}`,
          key,
          (object as ServiceEntry | undefined)?.spec?.workloadSelector?.labels,
        );
        dirty.add(`e:${key}`);
        return;
      case 'inference.networking.k8s.io/InferencePool':
        this.#takePool(key, object as ConfigObject<InferencePoolSpec> | undefined, dirty);
        return;
      case 'discovery.k8s.io/EndpointSlice':
        this.#takeSlice(key, object as EndpointSlice | undefined, dirty);
        return;
      case '/Endpoints':
        setOrDelete(this.#endpoints, key, object as KubernetesEndpoints | undefined);
        dirty.add(`k:${key}`);
        return;
      case '/Node':
        this.#takeNode(splitKey(key).name, object, dirty, out);
        return;
      case '/Pod':
        this.#takePod(key, object as Pod | undefined, dirty, out);
        return;
      case 'networking.istio.io/WorkloadEntry':
        this.#takeEntry(key, object as WorkloadEntry | undefined, dirty, out);
        return;
    }
  }

  /** A pool is kept as an entry under a name that no object can have. */
  #takePool(key: string, pool: ConfigObject<InferencePoolSpec> | undefined, dirty: Set<Owner>): void {
    const entryKey = `${key}~pool`;
    setOrDelete(this.#serviceEntries, entryKey, pool && entryOfPool(pool));
    this.#setSelector(`e:${entryKey}`, entryKey, pool?.spec?.selector?.matchLabels);
    dirty.add(`e:${entryKey}`);
  }

  #takeSlice(key: string, slice: EndpointSlice | undefined, dirty: Set<Owner>): void {
    const { namespace } = splitKey(key);
    for (const version of [this.#slices.get(key), slice]) {
      const service = version?.metadata.labels?.[serviceNameLabel];
      if (!service) continue;
      const serviceKey = `${namespace}/${service}`;
      const keys = this.#slicesOf.get(serviceKey) ?? new Set();
      if (version === slice) keys.add(key);
      else keys.delete(key);
      setOrDelete(this.#slicesOf, serviceKey, keys.size > 0 ? keys : undefined);
      dirty.add(`k:${serviceKey}`);
    }
    setOrDelete(this.#slices, key, slice);
  }

  #takeNode(name: string, node: ConfigObject | undefined, dirty: Set<Owner>, out: RegistryChange[]): void {
    setOrDelete(this.#nodes, name, node?.metadata.labels ?? (node ? {} : undefined));
    for (const owner of this.#usedBy.get(`%${name}`) ?? []) dirty.add(owner);
    for (const key of [...(this.#podsOfNode.get(name) ?? [])])
      this.#takePod(key, this.#rawPods.get(key), dirty, out);
  }

  #takePod(key: string, pod: Pod | undefined, dirty: Set<Owner>, out: RegistryChange[]): void {
    const { namespace } = splitKey(key);
    const before = this.#pods.get(key);
    const nodeBefore = this.#rawPods.get(key)?.spec?.nodeName;
    if (nodeBefore) this.#podsOfNode.get(nodeBefore)?.delete(key);
    const node = pod?.spec?.nodeName;
    if (node) getOrMake(this.#podsOfNode, node, newSet).add(key);
    setOrDelete(this.#rawPods, key, pod);
    const after = pod ? workloadOfPod(pod, this.#nodes.get(node ?? '') ?? {}, this.#clusterId) : undefined;
    if (deepEqual(before, after)) return;
    setOrDelete(this.#pods, key, after);
    for (const address of before?.addresses ?? []) {
      if (this.#podByAddress.get(address) === key) this.#podByAddress.delete(address);
      this.#dirtyUsers(`@${address}`, dirty);
    }
    for (const address of after?.addresses ?? []) {
      this.#podByAddress.set(address, key);
      this.#dirtyUsers(`@${address}`, dirty);
    }
    this.#dirtyUsers(key, dirty);
    this.#dirtySelecting(namespace, before, after, dirty);
    if (after) this.#podLabels.set(key, namespace, after.labels);
    else this.#podLabels.delete(key);
    if (!this.#entries.has(key)) out.push({ kind: 'workload', key, value: after });
  }

  #takeEntry(key: string, entry: WorkloadEntry | undefined, dirty: Set<Owner>, out: RegistryChange[]): void {
    const { namespace } = splitKey(key);
    const before = this.#entries.get(key);
    const after = entry ? workloadOfEntry(entry, this.#clusterId) : undefined;
    if (deepEqual(before, after)) return;
    setOrDelete(this.#entries, key, after);
    if (after) this.#entryLabels.set(key, namespace, after.labels);
    else this.#entryLabels.delete(key);
    this.#dirtySelecting(namespace, before, after, dirty);
    // A pod of the same name is shadowed by its entry, and shows again when the entry goes.
    this.#dirtySelecting(namespace, this.#pods.get(key), undefined, dirty);
    out.push({ kind: 'workload', key, value: after ?? this.#pods.get(key) });
  }

  #setSelector(owner: Owner, key: string, selector: Readonly<Record<string, string>> | undefined): void {
    this.#selectors.set(owner, splitKey(key).namespace, selector);
  }

  #dirtyUsers(used: string, dirty: Set<Owner>): void {
    for (const owner of this.#usedBy.get(used) ?? []) dirty.add(owner);
  }

  #dirtySelecting(
    namespace: string,
    before: Workload | undefined,
    after: Workload | undefined,
    dirty: Set<Owner>,
  ): void {
    for (const workload of [before, after])
      if (workload)
        for (const owner of this.#selectors.selecting(namespace, workload.labels)) dirty.add(owner);
  }

  #recompute(owners: ReadonlySet<Owner>, out: RegistryChange[]): void {
    const touched = new Set<string>();
    for (const owner of owners) {
      const made = this.#compute(owner);
      for (const key of this.#made.get(owner) ?? []) {
        touched.add(key);
        const claims = this.#claims.get(key);
        claims?.delete(owner);
        if (claims?.size === 0) this.#claims.delete(key);
      }
      for (const item of made) {
        const key = `${item.service.namespace}/${item.service.hostname}`;
        touched.add(key);
        getOrMake(this.#claims, key, () => new Map()).set(owner, item);
      }
      const keys = made.map(({ service }) => `${service.namespace}/${service.hostname}`);
      setOrDelete(this.#made, owner, keys.length > 0 ? new Set(keys) : undefined);
    }
    for (const key of touched) this.#publish(key, out);
  }

  /** Several objects may define one host in one namespace: the oldest defines the service, then the owner's name decides. */
  #publish(key: string, out: RegistryChange[]): void {
    const claims = [...(this.#claims.get(key) ?? [])].sort(
      ([ownerA, a], [ownerB, b]) =>
        compareText(a.service.createdAt || '~', b.service.createdAt || '~') ||
        -compareText(ownerA[0] ?? '', ownerB[0] ?? '') ||
        compareText(ownerA, ownerB),
    );
    const winner = mergeClaims(claims.map(([, claim]) => claim));
    const before = this.#published.get(key);
    if (!deepEqual(before?.service, winner?.service))
      out.push({ kind: 'service', key, value: winner?.service });
    if (!deepEqual(before?.endpoints, winner?.endpoints))
      out.push({ kind: 'endpoints', key, value: winner?.endpoints });
    setOrDelete(this.#published, key, winner);
  }

  #compute(owner: Owner): ServiceClaim[] {
    const key = owner.slice(2);
    const lookup = this.#lookup(owner);
    if (owner.startsWith('k:')) {
      const object = this.#services.get(key);
      if (!object) return [];
      const service = serviceOfKubernetes(object, this.#mesh);
      return [
        { service, endpoints: endpointSet(service, this.#kubernetesEndpoints(key, service, object, lookup)) },
      ];
    }
    const entry = this.#serviceEntries.get(key);
    if (!entry) return [];
    return servicesOfEntry(entry, this.#mesh, this.#virtualIps.of(key)).map((service) => ({
      service,
      endpoints: endpointSet(service, endpointsOfEntry(entry, service, lookup)),
    }));
  }

  #kubernetesEndpoints(
    key: string,
    service: MeshService,
    object: KubernetesService,
    lookup: WorkloadLookup,
  ): Endpoint[] {
    const slices = [...(this.#slicesOf.get(key) ?? [])]
      .sort()
      .flatMap((slice) => this.#slices.get(slice) ?? []);
    const legacy = slices.length === 0 ? this.#endpoints.get(key) : undefined;
    return [
      ...endpointsOfSlices(service, slices, lookup),
      ...(legacy ? endpointsOfEndpoints(service, legacy, lookup) : []),
      ...endpointsOfEntries(service, object, lookup),
    ];
  }

  /** Look-ups that remember who asked for what, so that a pod or node which comes later finds its owners. */
  #lookup(owner: Owner): WorkloadLookup & { pods: LabelIndex } {
    for (const used of this.#uses.get(owner) ?? []) {
      removeFromSet(this.#usedBy, used, owner);
    }
    this.#uses.delete(owner);
    const use = (what: string): void => {
      getOrMake(this.#uses, owner, newSet).add(what);
      getOrMake(this.#usedBy, what, newSet).add(owner);
    };
    return {
      entries: this.#entryLabels,
      pods: this.#podLabels,
      workload: (key) => this.#entries.get(key),
      pod: (key) => {
        use(key);
        return this.#pods.get(key);
      },
      podByAddress: (address) => {
        use(`@${address}`);
        return this.#pods.get(this.#podByAddress.get(address) ?? '');
      },
      nodeLocality: (node) => {
        if (node === '') return '';
        use(`%${node}`);
        return localityOfLabels(this.#nodes.get(node) ?? {});
      },
      clusterId: this.#clusterId,
    };
  }
}

const newSet = (): Set<string> => new Set();
