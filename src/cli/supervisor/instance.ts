import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Dependency } from '../mesh-file/mesh-file.ts';
import { checkHealth, getStatus } from './healthcheck.ts';
import { ManagedProcess, type ProcessSpec, type ProcessState } from './managed-process.ts';
import { instanceObjects, instanceStatuses } from './mesh-objects.ts';
import { type InstancePlan, loopbacks } from './mesh-plan.ts';
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
  readonly proxy: {
    /** Whether the application starts only when its proxy is ready. */
    readonly isWaitedFor: () => boolean;
    /** What is set for its proxy and cannot be acted on. */
    readonly notes: () => readonly string[];
  };
  /** Whether a dependency is fulfilled. */
  readonly isFulfilled: (dependency: Dependency) => boolean;
  readonly log: (line: string) => void;
  readonly clock?: Clock;
}

/** How often a not yet ready instance is looked at. */
const eagerMs = 200;
/** An agent that is gone takes no traffic along, since its Envoy runs on: so long may the next one take to come. */
const agentGraceMs = 10_000;

/** What is wrong with an instance. */
interface Problem {
  /** `gone`: it cannot serve now. `failing`: a check that may fail a few times. `agent`: only the agent is away. */
  readonly kind: 'gone' | 'failing' | 'agent';
  readonly why: string;
}
const startsAnew: Problem = { kind: 'gone', why: 'its proxy starts anew with other settings' };
const defaultTest = { type: 'tcp' } as const;

/** One replica (or gateway): starts what it consists of, watches its health, and has the mesh know. */
export class Instance {
  readonly plan: InstancePlan;
  readonly #options: InstanceOptions;
  readonly #clock: Clock;
  #agent: ManagedProcess;
  readonly #app: ManagedProcess | undefined;
  readonly #abort = new AbortController();
  #ready = false;
  #why = 'starting';
  #since: number;
  #startedAt = '';
  #published: string | undefined;
  /** Its proxy is away for a new one. */
  #replacing = false;
  #loop: Promise<void> | undefined;

  constructor(options: InstanceOptions) {
    this.plan = options.plan;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#since = this.#clock.now();
    this.#agent = this.#makeAgent(options.agent);
    this.#app =
      options.app &&
      new ManagedProcess(options.app, options.table, { onChange: this.#reporter(options.app.name) });
  }

  #makeAgent(spec: ProcessSpec): ManagedProcess {
    return new ManagedProcess(spec, this.#options.table, {
      prepare: this.#options.prepareAgent,
      onChange: this.#reporter(spec.name),
    });
  }

  #reporter(name: string): (state: ProcessState) => void {
    const { log } = this.#options;
    return (state) => {
      if (state.state === 'waiting') log(`${name} ${state.why}; starting it again`);
      else if (state.state === 'ended') log(`${name} ${state.why}; not started again`);
    };
  }

  start(): void {
    for (const object of instanceObjects(this.plan)) this.#options.publisher.want(object);
    // What an earlier supervisor left running goes on serving; its health is looked at before anything is said about it.
    this.#ready = this.#isAdopted();
    if (!this.#ready) this.#publish();
    this.#agent.start();
    this.#loop = this.#watch();
  }

  #isAdopted(): boolean {
    const { table, app, agent } = this.#options;
    return table.alive((app ?? agent).name) !== undefined;
  }

  /** Has a newer agent take over; Envoy runs on meanwhile. */
  async replaceAgent(spec: ProcessSpec): Promise<void> {
    await this.#agent.stop({ signal: spec.replaceSignal ?? 'SIGTERM' });
    this.#agent = this.#makeAgent(spec);
    this.#agent.start();
  }

  /** Takes it out of the endpoints, then has its Envoy end and start anew with other settings; the application runs on. */
  async restartProxy(spec: ProcessSpec): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#replacing = true;
    try {
      this.#become(false, startsAnew.why);
      await this.#options.publisher.settled(AbortSignal.timeout(5_000));
      await this.#agent.stop();
      this.#agent = this.#makeAgent(spec);
      if (!this.#abort.signal.aborted) this.#agent.start();
    } finally {
      this.#replacing = false;
    }
  }

  /** Ends the application and starts it again, as its program changed. */
  async restartApp(): Promise<void> {
    if (!this.#app || this.#abort.signal.aborted) return;
    await this.#app.stop();
    if (!this.#abort.signal.aborted) this.#app.start();
  }

  get specs(): { readonly agent: ProcessSpec; readonly app: ProcessSpec | undefined } {
    return { agent: this.#agent.spec, app: this.#app?.spec };
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
      if (!this.#ready) {
        await this.#waitForDependencies(signal);
        if (this.#options.proxy.isWaitedFor()) await this.#waitForProxy(signal);
      }
      if (signal.aborted) return;
      this.#app.start();
    }
    this.#startedAt = new Date(this.#clock.now()).toISOString();
    const check = this.plan.workload?.healthcheck;
    const began = this.#clock.now();
    let failures = 0;
    let failingSince = 0;
    while (!signal.aborted) {
      const found = await this.#problem(signal);
      const problem = this.#replacing ? startsAnew : found;
      if (signal.aborted) return;
      const now = this.#clock.now();
      if (problem) {
        if (failures === 0) failingSince = now;
        failures++;
        const starting = now - began < (check?.startPeriodMs ?? 0);
        const patience =
          problem.kind === 'agent'
            ? now - failingSince < agentGraceMs
            : problem.kind === 'failing' && (failures < (check?.retries ?? 3) || starting);
        if (!this.#ready || !patience) this.#become(false, problem.why);
      } else {
        failures = 0;
        this.#become(true, '');
      }
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

  async #waitForProxy(signal: AbortSignal): Promise<void> {
    for (;;) {
      const why = await getStatus(this.plan.readinessPort, '/healthz/ready', 2_000, signal);
      if (why === undefined || signal.aborted) return;
      this.#become(false, `the application waits for its proxy: ${why}`);
      await this.#clock.sleep(eagerMs, { signal });
    }
  }

  async #problem(signal: AbortSignal): Promise<Problem | undefined> {
    const state = this.#app?.state;
    if (state && state.state !== 'running')
      return {
        // Just told to start: it may be running already and about to be adopted.
        kind: state.state === 'stopped' ? 'failing' : 'gone',
        why: `the application ${state.state === 'waiting' || state.state === 'ended' ? state.why : 'does not run'}`,
      };
    const { workload } = this.plan;
    if (workload) {
      const why = await checkHealth(
        {
          test: workload.healthcheck?.test ?? defaultTest,
          port: this.plan.appPort,
          hosts: loopbacks(this.plan.capture),
          timeoutMs: workload.healthcheck?.timeoutMs ?? 1_000,
          workingDirectory: workload.workingDirectory,
          environment: this.#app?.spec.environment ?? {},
        },
        signal,
      );
      if (why !== undefined) return { kind: 'failing', why };
    }
    const agent = this.#agent.state;
    // Whatever answers on its port then is not it.
    if (agent.state === 'waiting' || agent.state === 'ended')
      return { kind: 'agent', why: `the agent ${agent.why}` };
    const answer = await getStatus(this.plan.readinessPort, '/healthz/ready', 2_000, signal);
    if (answer === undefined) return undefined;
    const why = `the sidecar is not ready: ${answer}`;
    // The agent itself says so: its Envoy is not there, or not configured.
    return { kind: answer.includes(' answers ') ? 'gone' : 'agent', why };
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
      proxyNotes: this.#options.proxy.notes(),
    };
    const { since: _, ...told } = health;
    const key = JSON.stringify(told);
    if (key === this.#published) return;
    this.#published = key;
    for (const status of instanceStatuses(this.plan, health)) this.#options.publisher.want(status, 'status');
  }
}
