import type { ProcessId } from '../../kit/process-id.ts';
import type { MeshWorkload } from '../mesh-file/mesh-file.ts';
import type { InstanceStatus } from './instance.ts';
import type { ProcessState } from './managed-process.ts';
import type { MeshPlan } from './mesh-plan.ts';

/** What `ostria ps` and `ostria up` show. */
export interface MeshStatus {
  readonly mesh: string;
  readonly meshFile: string;
  readonly version: string;
  /** Build of the supervisor's own code; '' when it runs from the sources. */
  readonly build: string;
  readonly pid: number;
  readonly phase: 'starting' | 'running' | 'stopping';
  readonly ports: MeshPlan['ports'];
  readonly controlPlane: { readonly state: ProcessState; readonly ready: boolean; readonly why: string };
  readonly kubeconfig: string;
  readonly envoyPath: string;
  readonly instances: readonly InstanceStatus[];
  /** What could not be applied of the files under `apply`. */
  readonly problems: readonly string[];
}

/** A process outside that takes part while it runs (`ostria run`). */
export interface JoinRequest {
  readonly workload: MeshWorkload;
  /** Whoever asks: when it is gone, so is the workload. */
  readonly owner: ProcessId;
}

export interface JoinAnswer {
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
}
