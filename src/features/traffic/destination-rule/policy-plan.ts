import { defineSlot } from '../../../plan/slot.ts';

export type LoadBalancerPlan =
  | { readonly type: 'least-request' | 'round-robin' | 'random' | 'passthrough' }
  | { readonly type: 'ring-hash'; readonly minimumSize: number }
  | { readonly type: 'maglev'; readonly tableSize: number };

/** What requests to the cluster are told apart by for a consistent hash. */
export type HashPlan =
  | { readonly type: 'header'; readonly name: string }
  | { readonly type: 'query'; readonly name: string }
  | { readonly type: 'source-ip' }
  | {
      readonly type: 'cookie';
      readonly name: string;
      readonly path: string;
      /** Absent: a cookie of the application, never made by the proxy. 0: a session cookie. */
      readonly ttlMs?: number;
      readonly attributes: readonly (readonly [name: string, value: string])[];
    };

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
  readonly retryBudget?: {
    readonly percent: number;
    readonly minConcurrency: number;
    readonly intervalMs: number;
  };
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
export const hashSlot = defineSlot<HashPlan>('hash');
export const warmupSlot = defineSlot<WarmupPlan>('warmup');
export const circuitBreakerSlot = defineSlot<CircuitBreakerPlan>('circuitBreaker');
export const outlierSlot = defineSlot<OutlierPlan>('outlierDetection');
export const keepaliveSlot = defineSlot<KeepalivePlan>('tcpKeepalive');
export const connectTimeoutSlot = defineSlot<number>('connectTimeoutMs');
