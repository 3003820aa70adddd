import type { ConfigBatch, ConfigChange } from '../config/sources/source.ts';
import { type UncoveredSetting, uncoveredMeshConfig } from '../features/mesh-config-coverage.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import { worldChanges } from '../model/for-compile.ts';
import { type MeshConfig, overlayMeshConfig } from '../registry/mesh-config.ts';
import { Registry, type RegistryOptions } from '../registry/registry.ts';
import type { WorldChange } from '../snapshot/world.ts';
import { ConfigMerge, type MergedChange } from './config-merge.ts';
import { DiscoveryScope } from './discovery-scope.ts';
import { otherTrustDomain } from './home-trust-domain.ts';
import { OpenDestinations } from './open-destinations.ts';

/** What the state feeds: the incremental engine. */
export interface CompileTarget {
  apply(changes: Iterable<WorldChange>, revision?: number): void;
  setMesh(mesh: MeshConfig): void;
}

export interface MeshStateOptions {
  /** Source names, the most authoritative first. */
  sources: readonly string[];
  /** Settings below the `istio` ConfigMap. */
  mesh: MeshConfig;
  /** Told in this order. */
  targets: readonly CompileTarget[];
  /** Parses the ConfigMap's `mesh` text; returns the settings or what is wrong with it. */
  parseMesh: (
    text: string,
  ) => { ok: true; value: Readonly<Record<string, unknown>> } | { ok: false; error: string };
  onProblem: (message: string) => void;
  /** Certificates are issued for the trust domain of `mesh`: settings of another one are not taken. Default false. */
  keepTrustDomain?: boolean;
  /** Told which revision of the mesh holds a batch of a source. */
  onTaken?: (source: string, sourceRevision: number, revision: number) => void;
  /** The clock of `holdUntil`, in ms. Default: the wall clock. */
  now?: () => number;
  /** Told what a source changed of what is in force. */
  onMerged?: (source: string, changes: readonly MergedChange[]) => void;
  /** The status of a ServiceEntry (`namespace/name`) should say these addresses. */
  onVirtualIps?: RegistryOptions['onVirtualIps'];
}

/**
 * Carries configuration from the sources into the compile: merges sources, runs the registry, and cuts off what no result may
 * depend on (status, managed fields, resource versions), so that writing a status moves nothing.
 */
export class MeshState {
  readonly merge: ConfigMerge;
  readonly #registry: Registry;
  readonly #openDestinations: OpenDestinations;
  readonly #options: MeshStateOptions;
  readonly #scope: DiscoveryScope;
  readonly #told = new Set<string>();
  #selectors: MeshConfig['discoverySelectors'] = [];
  #mesh: MeshConfig;
  #revision = 0;

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.#mesh = options.mesh;
    this.merge = new ConfigMerge(options.sources);
    this.#registry = new Registry({
      mesh: options.mesh,
      ...(options.onVirtualIps ? { onVirtualIps: options.onVirtualIps } : {}),
    });
    this.#openDestinations = new OpenDestinations({
      domainSuffix: options.mesh.domainSuffix,
      ...(options.now ? { now: options.now } : {}),
    });
    this.#scope = new DiscoveryScope(options.mesh.rootNamespace, () => this.merge.all());
    for (const target of options.targets) target.setMesh(options.mesh);
    this.#tellUncovered();
  }

  /** Settings that are set and not acted on. */
  get uncovered(): UncoveredSetting[] {
    return uncoveredMeshConfig(this.#mesh.extra);
  }

  #tellUncovered(): void {
    for (const { field, instead } of this.uncovered) {
      if (this.#told.has(field)) continue;
      this.#told.add(field);
      this.#options.onProblem(`MeshConfig ${field} is set and not acted on: ${instead}`);
    }
  }

  get mesh(): MeshConfig {
    return this.#mesh;
  }

  /** The number of batches taken, counted over all sources: the revision that pushes carry. */
  get revision(): number {
    return this.#revision;
  }

  /** When what was taken should reach the proxies (by the clock of `options.now`), so that what belongs to it comes along; undefined: at once. */
  get holdUntil(): number | undefined {
    return this.#openDestinations.holdUntil();
  }

  /** Takes a batch as one; returns the mesh revision that contains it. */
  take(source: string, batch: ConfigBatch): number {
    const merged = this.merge.take(source, batch);
    this.#options.onMerged?.(source, merged);
    const changes = [...this.#scope.take(merged)];
    this.#revision++;
    const world: WorldChange[] = [];
    for (const change of changes) if (change.kind === 'ConfigMap') this.#takeConfigMap(change, world);
    changes.push(...this.#rescope());
    this.#openDestinations.take(changes, batch.initial);
    world.push(...worldChanges(changes));
    world.push(...this.#registry.apply(changes));
    for (const target of this.#options.targets) target.apply(world, this.#revision);
    this.#options.onTaken?.(source, batch.revision, this.#revision);
    return this.#revision;
  }

  /** Takes what the control plane itself found out. A revision of its own: what one push brings is told by it. */
  note(changes: readonly WorldChange[]): void {
    this.#revision++;
    for (const target of this.#options.targets) target.apply(changes, this.#revision);
  }

  /** What new discovery selectors bring and take. */
  #rescope(): readonly ConfigChange[] {
    const selectors = this.#mesh.discoverySelectors;
    if (deepEqual(selectors, this.#selectors)) return [];
    this.#selectors = selectors;
    return this.#scope.setSelectors(selectors);
  }

  #takeConfigMap(change: ConfigChange, world: WorldChange[]): void {
    if (change.key !== `${this.#options.mesh.rootNamespace}/istio`) return;
    const text = (change.object?.data as Record<string, string> | undefined)?.mesh;
    let mesh = this.#options.mesh;
    if (text !== undefined) {
      const parsed = this.#options.parseMesh(text);
      if (!parsed.ok) {
        this.#options.onProblem(
          `ConfigMap ${change.key}: data.mesh: ${parsed.error}; the settings in force stay`,
        );
        return;
      }
      mesh = overlayMeshConfig(mesh, parsed.value);
      const other = this.#options.keepTrustDomain && otherTrustDomain(this.#options.mesh.trustDomain, mesh);
      if (other) {
        this.#options.onProblem(`ConfigMap ${change.key}: data.mesh: ${other}; the settings in force stay`);
        return;
      }
    }
    this.#mesh = mesh;
    this.#tellUncovered();
    for (const target of this.#options.targets) target.setMesh(mesh);
    world.push(...this.#registry.setMesh(mesh));
  }
}
