import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../../kit/coded-error.ts';
import { readKubeconfig } from '../../kit/kubeconfig.ts';
import { isAlive, type ProcessId } from '../../kit/process-id.ts';
import { ApiClient } from '../api/api-client.ts';
import type { MeshGateway } from '../mesh-file/mesh-file.ts';
import { buildId, ostriaVersion } from '../programs.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';
import { PortBook } from '../state/port-book.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { applyFiles } from './apply-files.ts';
import { ControlPlaneProcess } from './control-plane-process.ts';
import { notePorts } from './gateway-notes.ts';
import { gatewayWatch } from './gateway-watch.ts';
import { Instances } from './instances.ts';
import { loadMesh } from './load-mesh.ts';
import { boundLog } from './log-file.ts';
import { gatewayObjects, sharedObjects } from './mesh-objects.ts';
import { forgetJoined, forgetStarted, type MeshPlan, planJoined, planMesh } from './mesh-plan.ts';
import type { JoinAnswer, JoinRequest, MeshStatus } from './mesh-status.ts';
import { ObjectPublisher } from './object-publisher.ts';
import { sweep } from './ours.ts';
import { appEnvironment } from './process-specs.ts';
import { ProcessTable } from './process-table.ts';
import { ProxySettingsKeeper } from './proxy-settings-keeper.ts';
import { readSupervisorConfig, type SupervisorConfig } from './supervisor-config.ts';
import { watchFiles } from './watch-files.ts';

const logCheckMs = 5_000;

/** Runs a mesh: the control plane, and an agent, an Envoy and an application for each replica. */
export class Supervisor {
  readonly #paths: StatePaths;
  readonly #table: ProcessTable;
  readonly #log: (line: string) => void;
  readonly #instances: Instances;
  readonly #owners = new Map<string, ProcessId>();
  readonly #abort = new AbortController();
  readonly #build = buildId();
  /** Gateways that objects ask for; remembered, so that a supervisor that comes after us knows whose Envoys run. */
  #started: readonly MeshGateway[];
  readonly #proxies: ProxySettingsKeeper;
  #watching = new AbortController();
  #config: SupervisorConfig;
  #plan!: MeshPlan;
  #controlPlane!: ControlPlaneProcess;
  #client: ApiClient | undefined;
  #publisher: ObjectPublisher | undefined;
  #phase: MeshStatus['phase'] = 'starting';
  #problems: readonly string[] = [];
  #busy: Promise<unknown> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];

  constructor(paths: StatePaths, log: (line: string) => void) {
    this.#paths = paths;
    this.#log = log;
    this.#config = readSupervisorConfig(paths.directory);
    this.#table = new ProcessTable(paths.processes, paths.directory);
    this.#started = readJsonFile<MeshGateway[]>(paths.startedGateways) ?? [];
    this.#proxies = new ProxySettingsKeeper({
      client: () => this.#connectClient(),
      onChange: () => this.#exclusively(() => this.#restartChangedProxies()),
      log,
    });
    this.#instances = new Instances({
      paths,
      table: this.#table,
      proxies: this.#proxies,
      log,
      signal: this.#abort.signal,
      plan: () => this.#plan,
      config: () => this.#config,
      client: () => this.#connectClient(),
      publisher: () => this.#connect(),
      isJoined: (name) => this.#owners.has(name),
    });
  }

  /** Starts (or adopts) everything; resolves when all has been started, not when it is ready. */
  async start(): Promise<void> {
    // Whoever had joined under another supervisor is cut off by now.
    forgetJoined(this.#book());
    this.#plan = await this.#makePlan();
    this.#controlPlane = new ControlPlaneProcess(
      { paths: this.#paths, table: this.#table, log: this.#log, signal: this.#abort.signal },
      this.#plan,
      this.#config,
    );
    this.#timers.push(
      setInterval(() => this.#boundLogs(), logCheckMs),
      setInterval(() => this.#checkOwners(), 500),
    );
    await this.#controlPlane.start();
    if (this.#abort.signal.aborted) return;
    await this.#proxies.read(this.#abort.signal);
    await this.#exclusively(() => this.#reconcile());
    this.#phase = 'running';
    this.#watchFiles();
    void this.#controlPlane.watch();
    void gatewayWatch({
      client: () => this.#connectClient(),
      onChange: (gateways) => this.#takeGateways(gateways),
      log: this.#log,
    }).run(this.#abort.signal);
    void this.#proxies.run(this.#abort.signal);
  }

  async #restartChangedProxies(): Promise<void> {
    if (this.#phase !== 'stopping') await this.#instances.restartChangedProxies();
  }

  /** Starts what Gateway objects ask for, and ends what none asks for any more. */
  #takeGateways(gateways: readonly MeshGateway[]): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#phase !== 'running' || JSON.stringify(gateways) === JSON.stringify(this.#started)) return;
      const gone = this.#started.filter((old) => !gateways.some((one) => one.startedFor === old.startedFor));
      this.#started = gateways;
      writeJsonFile(this.#paths.startedGateways, gateways);
      forgetStarted(this.#book(), gateways);
      this.#plan = await this.#makePlan();
      await this.#instances.reconcile();
      await this.#publisher?.remove(gone.flatMap(gatewayObjects));
      for (const plan of this.#plan.instances)
        if (plan.gateway?.startedFor) await notePorts(this.#connectClient(), plan, this.#log);
    });
  }

  status(): MeshStatus {
    return {
      mesh: this.#plan?.mesh.name ?? '',
      meshFile: this.#config.meshFile,
      version: ostriaVersion(),
      build: this.#build,
      pid: process.pid,
      phase: this.#phase,
      ports: this.#plan?.ports ?? { api: 0, xds: 0, monitoring: 0 },
      controlPlane: this.#controlPlane?.status ?? {
        state: { state: 'stopped' },
        ready: false,
        why: 'starting',
      },
      kubeconfig: this.#paths.kubeconfig,
      envoyPath: this.#config.envoyPath,
      instances: this.#instances.all().map((instance) => instance.status()),
      problems: this.#problems,
    };
  }

  /** Takes over what `up` wrote meanwhile: starts what is new, ends what is gone, restarts what changed. */
  reload(): Promise<void> {
    return this.#exclusively(async () => {
      const [config, plan] = [this.#config, this.#plan];
      this.#config = readSupervisorConfig(this.#paths.directory);
      const wanted = await this.#makePlan();
      if (wanted.mesh.trustDomain !== plan.mesh.trustDomain) {
        this.#config = config;
        throw trustDomainStays(plan.mesh.trustDomain, wanted.mesh.trustDomain);
      }
      this.#plan = wanted;
      if (await this.#controlPlane.update(this.#plan, this.#config)) this.#closeClient();
      await this.#reconcile();
      this.#watchFiles();
    });
  }

  /** What is watched follows the plan. */
  #watchFiles(): void {
    this.#watching.abort();
    this.#watching = new AbortController();
    if (!this.#config.watch) return;
    watchFiles(
      {
        stateDirectory: this.#paths.directory,
        workloads: this.#plan.mesh.workloads,
        log: this.#log,
        instances: () => this.#instances.all(),
        restartControlPlane: () => this.#controlPlane.restart(),
      },
      AbortSignal.any([this.#abort.signal, this.#watching.signal]),
    );
  }

  /** Gives a process of somebody else's a place in the mesh. */
  join({ workload, owner }: JoinRequest): Promise<JoinAnswer> {
    return this.#exclusively(async () => {
      if (this.#phase !== 'running')
        throw new CodedError('MeshNotRunning', 'the mesh is not running yet; wait for ostria up');
      if (this.#instances.has(workload.name))
        throw new CodedError(
          'NameTaken',
          `a workload named ${workload.name} runs already; choose another name with --name`,
        );
      const plan = await planJoined(workload, this.#plan.mesh, this.#book());
      for (const object of sharedObjects({ ...this.#plan.mesh, workloads: [], gateways: [] }, [plan]))
        this.#publisher?.want(object);
      this.#instances.start(plan, false);
      this.#owners.set(plan.name, owner);
      return { name: plan.name, environment: appEnvironment(plan, this.#paths).environment };
    });
  }

  leave(name: string): Promise<void> {
    return this.#exclusively(async () => {
      if (!this.#owners.delete(name)) return;
      await this.#instances.stop(name);
      forgetJoined(this.#book(), name);
    });
  }

  /** Resolves when all sidecars know what is ready: then the first call goes through. Waits five seconds for each step at most. */
  async settle(): Promise<void> {
    await this.#publisher?.settled(AbortSignal.any([this.#abort.signal, AbortSignal.timeout(5_000)]));
    await this.#client?.get('/debug/wait?timeout=5000', { signal: this.#abort.signal });
  }

  /** Stops supervising and leaves everything running, for a supervisor that comes after us. */
  retire(): void {
    this.#phase = 'stopping';
    this.#abort.abort();
    for (const timer of this.#timers) clearInterval(timer);
    this.#publisher?.close();
    this.#client?.close();
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    if (this.#phase === 'stopping') return;
    this.#phase = 'stopping';
    this.#abort.abort();
    for (const timer of this.#timers) clearInterval(timer);
    this.#log('ending the mesh');
    await Promise.all(this.#instances.all().map((instance) => instance.stop({ hurry: true })));
    this.#publisher?.close();
    this.#client?.close();
    await this.#controlPlane?.stop();
    const left = await sweep(this.#paths.directory, { graceMs: 2_000 });
    if (left.length > 0) this.#log(`ended ${left.length} processes that were left over`);
  }

  async #makePlan(): Promise<MeshPlan> {
    const mesh = loadMesh(this.#config);
    return planMesh({ ...mesh, gateways: [...mesh.gateways, ...this.#started] }, this.#book());
  }

  #book(): PortBook {
    return new PortBook(this.#paths.ports, this.#config.portBase);
  }

  #connect(): ObjectPublisher {
    this.#publisher ??= new ObjectPublisher(this.#connectClient(), this.#log);
    return this.#publisher;
  }

  #connectClient(): ApiClient {
    this.#client ??= new ApiClient(readKubeconfig(this.#paths.kubeconfig));
    return this.#client;
  }

  #closeClient(): void {
    this.#publisher?.close();
    this.#client?.close();
    this.#publisher = undefined;
    this.#client = undefined;
  }

  /** Makes what runs, and the objects that say so, equal to the plan; then applies the mesh file's files. */
  async #reconcile(): Promise<void> {
    await this.#instances.reconcile();
    this.#problems = await applyFiles(
      this.#client as ApiClient,
      this.#plan.mesh.apply,
      join(this.#paths.controlPlane, 'applied-files.json'),
      this.#abort.signal,
    );
    for (const problem of this.#problems) this.#log(problem);
    // Those files may hold settings of proxies; later on the keeper follows them by itself.
    if (this.#phase !== 'starting') return;
    await this.#proxies.read(this.#abort.signal);
    await this.#restartChangedProxies();
  }

  #checkOwners(): void {
    for (const [name, owner] of this.#owners)
      if (!isAlive(owner)) {
        this.#log(`${name} leaves: the process that ran it is gone`);
        void this.leave(name);
      }
  }

  #boundLogs(): void {
    for (const name of readdirSync(this.#paths.logs))
      if (name.endsWith('.log')) boundLog(join(this.#paths.logs, name));
  }

  /** One change at a time. */
  #exclusively<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(action);
    this.#busy = result.catch(() => {});
    return result;
  }
}

/** Every proxy would have to get another certificate at the same moment. */
function trustDomainStays(running: string, wanted: string): CodedError {
  return new CodedError(
    'TrustDomainFixed',
    `the mesh file names the trust domain ${wanted}, but the mesh runs as ${running}, which its certificates name; to change it: ostria down, then ostria up`,
  );
}
