import type { DeliveryReport } from '../delivery/delivery-report.ts';

/** A change that is tried on some proxies before everybody gets it: the answer of `/debug/rollout`. */
export interface RolloutReport {
  readonly id: string;
  /** `trying`: the members have it. `ended`: nobody has it because of the rollout (any more). */
  readonly state: 'trying' | 'ended';
  /** Of `ended`. */
  readonly why?: string;
  /** Proxies that the change would alter. */
  readonly concerned: number;
  /** Ids of those that try it. */
  readonly members: readonly string[];
  /** How far it has come with them; absent where it has ended. */
  readonly delivery?: DeliveryReport;
}
