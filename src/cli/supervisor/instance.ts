import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Dependency } from '../mesh-file/mesh-file.ts';
import { checkHealth, getStatus } from './healthcheck.ts';
import { ManagedProcess, type ProcessSpec, type ProcessState } from './managed-process.ts';
import { instanceObjects, instanceStatuses } from './mesh-objects.ts';
import type { InstancePlan } from './mesh-plan.ts';
import type { ObjectPublisher } from './object-publisher.ts';
import type { ProcessTable } from './process-table.ts';

export interface InstanceStatus {
  readonly name: string;
  readonly namespace: string;
  readonly service: string;
  readonly version: string;
  readonly kind: 'workload' | 'gateway';
  readonly ready: boolean;
  /** Why it is not ready; '' when it is. */
  readonly why: string;
  readonly app: ProcessState | undefined;
  readonly agent: ProcessState;
  readonly restarts: number;
  /** ms since the epoch. */
  readonly since: number;
  readonly endpoints: InstancePlan['endpoints'];
  readonly appPort: number;
  readonly readinessPort: number;
  readonly metricsPort: number;
  readonly httpProxy: number;
}

export interface InstanceOptions {
  readonly plan: InstancePlan;
  readonly agent: ProcessSpec;
  /** Absent for gateways, and for applications that somebody else runs. */
  readonly app?: ProcessSpec;
  readonly table: ProcessTable;
  readonly publisher: ObjectPublisher;
  /** Before each start of the agent: its configuration and, where it needs one, a join token. */
  readonly prepareAgent: () => void;
  /** Whether a dependency is fulfilled. */
  readonly isFulfilled: (dependency: Dependency) => boolean;
  readonly log: (line: string) => void;
  readonly clock?: Clock;
}

/** How often a not yet ready instance is looked at. */
const eagerMs = 200;
const defaultTest = { type: 'tcp' } as const;

/** One replica (or gateway): starts what it consists of, watches its health, and has the mesh know. */
export class Instance {
  readonly plan: InstancePlan;
  readonly #options: InstanceOptions;
  readonly #clock: Clock;
  readonly #agent: ManagedProcess;
  readonly #app: ManagedProcess | undefined;
  readonly #abort = new AbortController();
  #ready = false;
  #why = 'starting';
  #since: number;
  #startedAt = '';
  #published: string | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: InstanceOptions) {
    this.plan = options.plan;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#since = this.#clock.now();
    const { table, log } = options;
    const told = (name: string) => (state: ProcessState) => {
      if (state.state === 'waiting') log(`${name} ${state.why}; starting it again`);
      else if (state.state === 'ended') log(`${name} ${state.why}; not started again`);
    };
    this.#agent = new ManagedProcess(options.agent, table, {
      prepare: options.prepareAgent,
      onChange: told(options.agent.name),
    });
    this.#app = options.app && new ManagedProcess(options.app, table, { onChange: told(options.app.name) });
  }

  start(): void {
    for (const object of instanceObjects(this.plan)) this.#options.publisher.want(object);
    this.#publish();
    this.#agent.start();
    this.#loop = this.#watch();
  }

  status(): InstanceStatus {
    const { plan } = this;
    return {
      name: plan.name,
      namespace: plan.namespace,
      service: plan.service,
      version: plan.workload?.version ?? '',
      kind: plan.gateway ? 'gateway' : 'workload',
      ready: this.#ready,
      why: this.#why,
      app: this.#app?.state,
      agent: this.#agent.state,
      restarts: this.#restarts(),
      since: this.#since,
      endpoints: plan.endpoints,
      appPort: plan.appPort,
      readinessPort: plan.readinessPort,
      metricsPort: plan.metricsPort,
      httpProxy: plan.capture.httpProxy,
    };
  }

  /** True once the application ended with exit code 0 and will not be started again. */
  get completed(): boolean {
    const state = this.#app?.state;
    return state?.state === 'ended' && state.code === 0;
  }

  get started(): boolean {
    return this.#app === undefined || this.#app.state.state === 'running' || this.completed;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /**
   * Withdraws it from the endpoints, then ends application and agent. `hurry`: the whole mesh goes, nobody is left to be spared.
   */
  async stop(options: { hurry: boolean }): Promise<void> {
    this.#abort.abort();
    await this.#loop;
    if (!options.hurry) {
      this.#become(false, 'being stopped');
      const limit = AbortSignal.timeout(5_000);
      await this.#options.publisher.settled(limit);
      // The agent drains: its peers forget the endpoint and requests in flight end before the application goes.
      await this.#agent.stop();
    }
    await Promise.all([this.#app?.stop(), this.#agent.stop(options)]);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    if (this.#app) {
      await this.#waitForDependencies(signal);
      if (signal.aborted) return;
      this.#app.start();
      this.#startedAt = new Date(this.#clock.now()).toISOString();
    }
    const check = this.plan.workload?.healthcheck;
    const began = this.#clock.now();
    let failures = 0;
    while (!signal.aborted) {
      const why = await this.#problem(signal);
      if (signal.aborted) return;
      failures = why === undefined ? 0 : failures + 1;
      const starting = this.#clock.now() - began < (check?.startPeriodMs ?? 0);
      if (why === undefined) this.#become(true, '');
      else if (!this.#ready) this.#become(false, why);
      // A process that is gone is out at once; a failing check may fail a few times.
      else if (!this.#runs() || (failures >= (check?.retries ?? 3) && !starting)) this.#become(false, why);
      await this.#clock.sleep(this.#ready && failures === 0 ? (check?.intervalMs ?? 1_000) : eagerMs, {
        signal,
      });
    }
  }

  async #waitForDependencies(signal: AbortSignal): Promise<void> {
    const { dependsOn = [] } = this.plan.workload ?? {};
    for (;;) {
      const open = dependsOn.filter((dependency) => !this.#options.isFulfilled(dependency));
      if (open.length === 0 || signal.aborted) return;
      this.#become(false, `waiting for ${open.map(({ name }) => name).join(', ')}`);
      await this.#clock.sleep(eagerMs, { signal });
    }
  }

  #runs(): boolean {
    return this.#agent.state.state === 'running' && (this.#app?.state.state ?? 'running') === 'running';
  }

  async #problem(signal: AbortSignal): Promise<string | undefined> {
    const state = this.#app?.state;
    if (state && state.state !== 'running')
      return `the application ${state.state === 'waiting' || state.state === 'ended' ? state.why : 'does not run'}`;
    const { workload } = this.plan;
    if (workload) {
      const why = await checkHealth(
        {
          test: workload.healthcheck?.test ?? defaultTest,
          port: this.plan.appPort,
          timeoutMs: workload.healthcheck?.timeoutMs ?? 1_000,
          workingDirectory: workload.workingDirectory,
          environment: this.#app?.spec.environment ?? {},
        },
        signal,
      );
      if (why !== undefined) return why;
    }
    const agent = await getStatus(this.plan.readinessPort, '/healthz/ready', 2_000, signal);
    return agent === undefined ? undefined : `the sidecar is not ready: ${agent}`;
  }

  #restarts(): number {
    return [this.#app?.state, this.#agent.state].reduce(
      (sum, state) => sum + (state?.state === 'running' || state?.state === 'waiting' ? state.restarts : 0),
      0,
    );
  }

  #become(ready: boolean, why: string): void {
    if (ready !== this.#ready) {
      this.#since = this.#clock.now();
      this.#options.log(`${this.plan.name} is ${ready ? 'ready' : `not ready: ${why}`}`);
    }
    this.#ready = ready;
    this.#why = why;
    this.#publish();
  }

  #publish(): void {
    const health = {
      ready: this.#ready,
      why: this.#why,
      since: new Date(this.#since).toISOString(),
      restarts: this.#restarts(),
      startedAt: this.#startedAt,
    };
    const key = JSON.stringify([health.ready, health.why, health.restarts, health.startedAt]);
    if (key === this.#published) return;
    this.#published = key;
    for (const status of instanceStatuses(this.plan, health)) this.#options.publisher.want(status, 'status');
  }
}
