import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { CircuitBreakersSchema } from '../../../../gen/proto/envoy/config/cluster/v3/circuit_breaker_pb.js';
import {
  type Cluster,
  Cluster_CommonLbConfigSchema,
  Cluster_LeastRequestLbConfigSchema,
  Cluster_MaglevLbConfigSchema,
  Cluster_RingHashLbConfigSchema,
  Cluster_RoundRobinLbConfigSchema,
  Cluster_LbPolicy as LbPolicy,
  UpstreamConnectionOptionsSchema,
} from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { OutlierDetectionSchema } from '../../../../gen/proto/envoy/config/cluster/v3/outlier_detection_pb.js';
import { originId } from '../../../config/origin.ts';
import { addMetadata, duration } from '../../../envoy/pack.ts';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import { originOf, read } from '../../../plan/slot.ts';
import {
  circuitBreakerSlot,
  connectTimeoutSlot,
  keepaliveSlot,
  type LocalityChoicePlan,
  loadBalancerSlot,
  localityChoiceSlot,
  type OutlierPlan,
  outlierSlot,
  type RetryBudgetPlan,
  retryBudgetSlot,
  type WarmupPlan,
  warmupSlot,
} from './policy-plan.ts';

/** Istio's "no limit": Envoy's own defaults (1,024) would throttle a service that nobody asked to limit. */
const unlimited = 0xffffffff;

export function emitCluster(plan: ClusterPlan, message: Cluster): void {
  if (plan.direction === 'outbound') emitBalancer(plan, message);
  if (plan.direction === 'outbound' || read(plan, circuitBreakerSlot)) emitLimits(plan, message);
  const connectTimeoutMs = read(plan, connectTimeoutSlot);
  if (connectTimeoutMs) message.connectTimeout = duration(connectTimeoutMs);
  const keepalive = read(plan, keepaliveSlot);
  if (keepalive)
    message.upstreamConnectionOptions = create(UpstreamConnectionOptionsSchema, {
      tcpKeepalive: {
        ...(keepalive.probes ? { keepaliveProbes: keepalive.probes } : {}),
        ...(keepalive.timeSeconds ? { keepaliveTime: keepalive.timeSeconds } : {}),
        ...(keepalive.intervalSeconds ? { keepaliveInterval: keepalive.intervalSeconds } : {}),
      },
    });
  const outlier = read(plan, outlierSlot);
  if (outlier) emitOutlier(outlier, message);
  const limits = originOf(plan, circuitBreakerSlot);
  // Access logs name it where a limit refuses a call.
  if (limits) addMetadata(message, { limits: originId(limits) });
}

const noLimits = create(CircuitBreakersSchema, {
  thresholds: [
    {
      maxConnections: unlimited,
      maxPendingRequests: unlimited,
      maxRequests: unlimited,
      maxRetries: unlimited,
    },
  ],
});
const noPanic = create(Cluster_CommonLbConfigSchema, { healthyPanicThreshold: { value: 0 } });

function emitLimits(plan: ClusterPlan, message: Cluster): void {
  const limits = read(plan, circuitBreakerSlot);
  const budget = read(plan, retryBudgetSlot);
  if (!limits && !budget) {
    message.circuitBreakers = noLimits;
    return;
  }
  message.circuitBreakers = create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: limits?.maxConnections ?? unlimited,
        maxPendingRequests: limits?.maxPendingRequests ?? unlimited,
        maxRequests: limits?.maxRequests ?? unlimited,
        maxRetries: limits?.maxRetries ?? unlimited,
        ...(budget ? { retryBudget: retryBudget(budget) } : {}),
      },
    ],
  });
}

function retryBudget({ percent, minConcurrency, intervalMs }: RetryBudgetPlan) {
  return {
    budgetPercent: { value: percent },
    minRetryConcurrency: minConcurrency,
    ...(intervalMs ? { budgetInterval: duration(intervalMs) } : {}),
  };
}

function slowStart(warmup: WarmupPlan) {
  return {
    slowStartConfig: {
      slowStartWindow: duration(warmup.windowMs),
      aggression: { defaultValue: warmup.aggression, runtimeKey: 'ostria.warmup.aggression' },
      minWeightPercent: { value: warmup.minimumPercent },
    },
  };
}

function emitBalancer(plan: ClusterPlan, message: Cluster): void {
  if (message.lbPolicy === LbPolicy.CLUSTER_PROVIDED) return;
  // A fallen locality must not be kept alive by Envoy's panic mode; minHealthPercent brings it back.
  const minHealth = read(plan, outlierSlot)?.minHealthPercent ?? 0;
  const choice = read(plan, localityChoiceSlot);
  message.commonLbConfig =
    minHealth === 0 && !choice
      ? noPanic
      : create(Cluster_CommonLbConfigSchema, {
          healthyPanicThreshold: { value: minHealth },
          ...(choice ? { localityConfigSpecifier: localityConfig(choice) } : {}),
        });
  const balancer = read(plan, loadBalancerSlot) ?? { type: 'least-request' };
  const warmup = read(plan, warmupSlot);
  switch (balancer.type) {
    case 'ring-hash':
      message.lbPolicy = LbPolicy.RING_HASH;
      message.lbConfig = {
        case: 'ringHashLbConfig',
        value: create(Cluster_RingHashLbConfigSchema, { minimumRingSize: BigInt(balancer.minimumSize) }),
      };
      return;
    case 'maglev':
      message.lbPolicy = LbPolicy.MAGLEV;
      message.lbConfig = {
        case: 'maglevLbConfig',
        value: create(Cluster_MaglevLbConfigSchema, { tableSize: BigInt(balancer.tableSize) }),
      };
      return;
    case 'random':
      message.lbPolicy = LbPolicy.RANDOM;
      return;
    case 'round-robin':
      message.lbPolicy = LbPolicy.ROUND_ROBIN;
      if (warmup)
        message.lbConfig = {
          case: 'roundRobinLbConfig',
          value: create(Cluster_RoundRobinLbConfigSchema, slowStart(warmup)),
        };
      return;
    default:
      if (warmup)
        message.lbConfig = {
          case: 'leastRequestLbConfig',
          value: create(Cluster_LeastRequestLbConfigSchema, slowStart(warmup)),
        };
  }
}

function localityConfig(
  choice: LocalityChoicePlan,
): NonNullable<MessageInitShape<typeof Cluster_CommonLbConfigSchema>['localityConfigSpecifier']> {
  return choice.type === 'shares'
    ? { case: 'localityWeightedLbConfig' as const, value: {} }
    : {
        case: 'zoneAwareLbConfig' as const,
        value: {
          routingEnabled: { value: 100 },
          minClusterSize: BigInt(choice.minClusterSize),
        },
      };
}

function emitOutlier(plan: OutlierPlan, message: Cluster): void {
  const off = (count: number): number => (count > 0 ? 100 : 0);
  message.outlierDetection = create(OutlierDetectionSchema, {
    consecutive5xx: plan.consecutive5xx,
    enforcingConsecutive5xx: off(plan.consecutive5xx),
    consecutiveGatewayFailure: plan.consecutiveGatewayErrors,
    enforcingConsecutiveGatewayFailure: off(plan.consecutiveGatewayErrors),
    splitExternalLocalOriginErrors: plan.splitLocalErrors,
    ...(plan.splitLocalErrors
      ? {
          consecutiveLocalOriginFailure: plan.consecutiveLocalFailures,
          enforcingConsecutiveLocalOriginFailure: off(plan.consecutiveLocalFailures),
          enforcingLocalOriginSuccessRate: 0,
        }
      : {}),
    interval: duration(plan.intervalMs),
    baseEjectionTime: duration(plan.baseEjectionMs),
    maxEjectionPercent: plan.maxEjectionPercent,
    // Istio judges by consecutive errors only.
    enforcingSuccessRate: 0,
  });
}
