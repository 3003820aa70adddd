import { defineSlot } from '../../../plan/slot.ts';

export type LoadBalancerPlan =
  | { readonly type: 'least-request' | 'round-robin' | 'random' | 'passthrough' }
  | { readonly type: 'ring-hash'; readonly minimumSize: number }
  | { readonly type: 'maglev'; readonly tableSize: number };

export interface WarmupPlan {
  readonly windowMs: number;
  readonly minimumPercent: number;
  readonly aggression: number;
}

export interface CircuitBreakerPlan {
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxRequests?: number;
  readonly maxRetries?: number;
}

/** Retries at once, in percent of the requests at once. */
export interface RetryBudgetPlan {
  readonly percent: number;
  readonly minConcurrency: number;
  /** 0: the requests of this moment alone. */
  readonly intervalMs: number;
}

export interface OutlierPlan {
  /** 0 switches a detector off. */
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalFailures: number;
  readonly splitLocalErrors: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Below this share of healthy endpoints all of them are used again. */
  readonly minHealthPercent: number;
}

export interface KeepalivePlan {
  readonly probes?: number;
  readonly timeSeconds?: number;
  readonly intervalSeconds?: number;
}

export const loadBalancerSlot = defineSlot<LoadBalancerPlan>('loadBalancer');
/** `shares`: localities get parts of the traffic (`distribute`), not just by their number of endpoints. */
export type LocalityChoicePlan =
  | { readonly type: 'shares' }
  | { readonly type: 'zone-aware'; readonly minClusterSize: number };
export const localityChoiceSlot = defineSlot<LocalityChoicePlan>('localityChoice');
export const warmupSlot = defineSlot<WarmupPlan>('warmup');
export const circuitBreakerSlot = defineSlot<CircuitBreakerPlan>('circuitBreaker');
export const retryBudgetSlot = defineSlot<RetryBudgetPlan>('retryBudget');
export const outlierSlot = defineSlot<OutlierPlan>('outlierDetection');
export const keepaliveSlot = defineSlot<KeepalivePlan>('tcpKeepalive');
export const connectTimeoutSlot = defineSlot<number>('connectTimeoutMs');
