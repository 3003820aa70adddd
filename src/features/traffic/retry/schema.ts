import { defineSlot } from '../../../plan/slot.ts';

export interface RetryPlan {
  /** Further attempts after the first. */
  readonly attempts: number;
  /** Envoy's and gRPC's condition names, comma-separated. */
  readonly on: string;
  readonly statusCodes: readonly number[];
  readonly perTryTimeoutMs?: number;
  readonly backoffMs?: number;
  /** Look for a host that this request has not tried yet. */
  readonly avoidTriedHosts: boolean;
  /** Let attempts move to other localities. */
  readonly remoteLocalities: boolean;
}

export const retrySlot = defineSlot<RetryPlan>('retry');

/** Further attempts where nobody says how many, as Istio's. */
export const defaultAttempts = 2;

/**
 * Without the user asking, only what the destination cannot have begun to work on is sent again: safe for POST too
 * (docs/decisions, "retries never replay").
 */
export const safeRetry: RetryPlan = Object.freeze({
  attempts: defaultAttempts,
  on: 'connect-failure,refused-stream,reset-before-request',
  statusCodes: [],
  avoidTriedHosts: true,
  remoteLocalities: false,
});
