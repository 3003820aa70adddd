import { rmSync } from 'node:fs';
import type { ApiClient } from '../api/api-client.ts';
import type { Dependency } from '../mesh-file/mesh-file.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { removeForgotten } from './forgotten-objects.ts';
import { Instance } from './instance.ts';
import { type ProcessSpec, specHash } from './managed-process.ts';
import { serviceStatus, sharedObjects } from './mesh-objects.ts';
import { type InstancePlan, type MeshPlan, shapeOf } from './mesh-plan.ts';
import type { ObjectPublisher } from './object-publisher.ts';
import { prepareAgent } from './prepare-agent.ts';
import { agentConfig, agentSpec, appSpec } from './process-specs.ts';
import type { ProcessTable } from './process-table.ts';
import { hasOtherSettings, type ProxySettingsKeeper } from './proxy-settings-keeper.ts';
import { restartProxies } from './restart-proxies.ts';
import type { SupervisorConfig } from './supervisor-config.ts';

/** What instances need of the mesh that they belong to. Plan, configuration and connections change; they are asked for anew. */
export interface InstancesMesh {
  readonly paths: StatePaths;
  readonly table: ProcessTable;
  readonly proxies: ProxySettingsKeeper;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
  plan(): MeshPlan;
  config(): SupervisorConfig;
  client(): ApiClient;
  publisher(): ObjectPublisher;
  /** Whether an instance belongs to a process outside, and to no plan. */
  isJoined(name: string): boolean;
}

/** What runs of a mesh: an agent, an Envoy and an application for each replica. */
export class Instances {
  readonly #mesh: InstancesMesh;
  readonly #instances = new Map<string, Instance>();

  constructor(mesh: InstancesMesh) {
    this.#mesh = mesh;
  }

  has(name: string): boolean {
    return this.#instances.has(name);
  }

  all(): readonly Instance[] {
    return [...this.#instances.values()];
  }

  /** Makes what runs, and the objects that say so, equal to the plan. */
  async reconcile(): Promise<void> {
    const publisher = this.#mesh.publisher();
    const { mesh, instances } = this.#mesh.plan();
    const wanted = new Map(instances.map((plan) => [plan.name, plan]));
    const stale = [...this.#instances.values()].filter(
      (instance) =>
        !this.#mesh.isJoined(instance.plan.name) &&
        !this.#isAsPlanned(instance, wanted.get(instance.plan.name)),
    );
    await Promise.all(stale.map((instance) => this.stop(instance.plan.name, wanted.has(instance.plan.name))));
    await this.#endForgotten(wanted);
    for (const object of sharedObjects(mesh, instances)) publisher.want(object);
    for (const plan of instances) if (plan.gateway) publisher.want(serviceStatus(plan), 'status');
    await publisher.settled(AbortSignal.any([this.#mesh.signal, AbortSignal.timeout(30_000)]));
    const isWanted = (name: string) => wanted.has(name) || this.#instances.has(name);
    await removeForgotten(this.#mesh.client(), publisher, isWanted, this.#mesh.log);
    for (const plan of instances) {
      const instance = this.#instances.get(plan.name);
      if (!instance) this.start(plan, true);
      else if (specHash(instance.specs.agent) !== specHash(this.#agentSpec(plan)))
        await instance.replaceAgent(this.#agentSpec(plan));
    }
  }

  #isAsPlanned(instance: Instance, plan: InstancePlan | undefined): boolean {
    if (!plan || shapeOf(plan) !== shapeOf(instance.plan)) return false;
    const app = appSpec(plan, this.#mesh.paths);
    return (
      app === undefined ||
      (instance.specs.app !== undefined && specHash(app) === specHash(instance.specs.app))
    );
  }

  /** Processes that an earlier supervisor ran for what is no longer in the mesh file. */
  async #endForgotten(wanted: ReadonlyMap<string, InstancePlan>): Promise<void> {
    for (const name of this.#mesh.table.names()) {
      const [instance = ''] = name.split('/');
      if (name === 'control-plane' || wanted.has(instance) || this.#instances.has(instance)) continue;
      const recorded = this.#mesh.table.alive(name);
      if (recorded) process.kill(recorded.pid, 'SIGTERM');
      this.#mesh.table.delete(name);
    }
  }

  /** `withApp` false: the application is a process of somebody else's. */
  start(plan: InstancePlan, withApp: boolean): void {
    const { paths, table, proxies, log } = this.#mesh;
    const app = withApp ? appSpec(plan, paths) : undefined;
    const instance = new Instance({
      plan,
      agent: this.#agentSpec(plan),
      ...(app ? { app } : {}),
      table,
      publisher: this.#mesh.publisher(),
      prepareAgent: () => prepareAgent(plan, this.#mesh.plan(), paths, this.#mesh.config(), proxies.of(plan)),
      proxy: {
        isWaitedFor: () => proxies.of(plan).holdApplication,
        notes: () => proxies.of(plan).notes,
      },
      isFulfilled: (dependency) => this.#isFulfilled(dependency),
      log,
    });
    this.#instances.set(plan.name, instance);
    instance.start();
  }

  /** `comesAgain`: what is known of it stays. */
  async stop(name: string, comesAgain = false): Promise<void> {
    const instance = this.#instances.get(name);
    if (!instance) return;
    await instance.stop({ hurry: false });
    this.#instances.delete(name);
    if (comesAgain) return;
    const { namespace } = instance.plan;
    await this.#mesh.publisher().remove([
      { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name, namespace } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace } },
    ]);
    rmSync(this.#mesh.paths.workload(name), { recursive: true, force: true });
  }

  /** Has the proxies start anew whose settings are others than those that they were started with. */
  async restartChangedProxies(): Promise<void> {
    const { paths, proxies, signal } = this.#mesh;
    const changed = [...this.#instances.values()].filter(({ plan }) => {
      const wanted = agentConfig(plan, this.#mesh.plan(), paths, this.#mesh.config(), proxies.of(plan));
      return hasOtherSettings(plan.name, wanted, paths);
    });
    await restartProxies(changed, (plan) => this.#agentSpec(plan), signal);
  }

  #agentSpec(plan: InstancePlan): ProcessSpec {
    return agentSpec(plan, this.#mesh.paths, this.#mesh.proxies.of(plan));
  }

  #isFulfilled({ name, condition }: Dependency): boolean {
    const replicas = [...this.#instances.values()].filter(({ plan }) => plan.workload?.name === name);
    // A workload without replicas, or of a profile that was not asked for, is not waited for.
    if (condition === 'service_completed_successfully') return replicas.every(({ completed }) => completed);
    return replicas.every((replica) => (condition === 'service_healthy' ? replica.ready : replica.started));
  }
}
