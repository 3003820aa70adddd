import { makePrivateDirectory } from '../../kit/atomic-file.ts';
import { portOwner } from '../state/listening-ports.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { getStatus } from './healthcheck.ts';
import { ManagedProcess, type ProcessState, specHash } from './managed-process.ts';
import type { MeshPlan } from './mesh-plan.ts';
import { isOurs } from './ours.ts';
import { controlPlaneSpec } from './process-specs.ts';
import type { ProcessTable } from './process-table.ts';
import type { SupervisorConfig } from './supervisor-config.ts';

export interface ControlPlaneParts {
  readonly paths: StatePaths;
  readonly table: ProcessTable;
  readonly log: (line: string) => void;
  /** Ends every wait and the watch. */
  readonly signal: AbortSignal;
}

/** The mesh's control plane: kept running, and asked again and again whether it is ready. */
export class ControlPlaneProcess {
  readonly #parts: ControlPlaneParts;
  #plan: MeshPlan;
  #process: ManagedProcess;
  /** Why it is not ready; '' when it is. */
  #why = 'starting';

  constructor(parts: ControlPlaneParts, plan: MeshPlan, config: SupervisorConfig) {
    this.#parts = parts;
    this.#plan = plan;
    this.#process = this.#make(config);
  }

  get status(): { readonly state: ProcessState; readonly ready: boolean; readonly why: string } {
    return { state: this.#process.state, ready: this.#why === '', why: this.#why };
  }

  /** Starts it (or adopts one that runs); resolves when it is ready, or the signal has come. */
  async start(): Promise<void> {
    this.#process.start();
    await this.#waitUntilReady();
  }

  /** Takes over a new plan. Returns whether that took a new process; then it is ready. */
  async update(plan: MeshPlan, config: SupervisorConfig): Promise<boolean> {
    this.#plan = plan;
    const { paths, log } = this.#parts;
    if (specHash(controlPlaneSpec(plan, paths, config)) === specHash(this.#process.spec)) return false;
    log('the control plane starts anew: its settings changed');
    await this.#process.stop();
    this.#process = this.#make(config);
    await this.start();
    return true;
  }

  /** Ends it; it is started again at once. */
  restart(): void {
    this.#process.signal('SIGTERM');
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  /** Looks twice a second, until the signal comes. */
  async watch(): Promise<void> {
    while (!this.#parts.signal.aborted) {
      await this.#check();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  async #waitUntilReady(): Promise<void> {
    for (;;) {
      await this.#check();
      if (this.#why === '' || this.#parts.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #make(config: SupervisorConfig): ManagedProcess {
    const { paths, table, log } = this.#parts;
    makePrivateDirectory(paths.controlPlane);
    return new ManagedProcess(controlPlaneSpec(this.#plan, paths, config), table, {
      onChange: (state) => {
        if (state.state === 'waiting') log(`control-plane ${state.why}; starting it again`);
      },
    });
  }

  async #check(): Promise<void> {
    const port = this.#plan.ports.monitoring;
    const { state } = this.#process;
    const why =
      state.state === 'waiting' || state.state === 'ended'
        ? state.why
        : await getStatus(port, '/readyz', 1_000, this.#parts.signal);
    // Another mesh may have come to have this port in the meantime: what answers must be ours.
    if (why === undefined && this.#why !== '') {
      const { pid } = portOwner(port);
      if (pid !== undefined && !isOurs(pid, this.#parts.paths.directory)) {
        this.#why = `port ${port} is in use by process ${pid}`;
        return;
      }
    }
    this.#why = why ?? '';
  }
}
