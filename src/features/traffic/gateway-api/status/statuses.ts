import type { StatusShaper } from '../../../../plan/feature.ts';
import {
  allBackendTlsPolicies,
  allGatewayApiGateways,
  allGatewayClasses,
  allListenerSets,
  allRoutes,
  group,
} from '../kinds.ts';
import { allTrafficPolicies, trafficPolicyName } from '../traffic-policy.ts';
import { gatewayClassStatus, gatewayStatus, listenerSetStatus } from './gateway-status.ts';
import { policyStatus } from './policy-status.ts';
import { routeStatus } from './route-status.ts';
import { trafficPolicyStatus } from './traffic-policy-status.ts';

export const statuses: readonly StatusShaper[] = [
  { kind: `${group}/GatewayClass`, all: allGatewayClasses, plan: gatewayClassStatus },
  { kind: `${group}/Gateway`, all: allGatewayApiGateways, plan: gatewayStatus },
  { kind: `${group}/ListenerSet`, all: allListenerSets, plan: listenerSetStatus },
  { kind: `${group}/BackendTLSPolicy`, all: allBackendTlsPolicies, plan: policyStatus },
  { kind: trafficPolicyName, all: allTrafficPolicies, plan: trafficPolicyStatus },
  ...allRoutes.map(
    ([kind, all]): StatusShaper => ({
      kind: `${group}/${kind}`,
      all,
      plan: (view, key) => routeStatus(view, `${kind}/${key}`),
    }),
  ),
];
