import { create } from '@bufbuild/protobuf';
import {
  type Route,
  RouteAction_RequestMirrorPolicySchema,
} from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { FractionalPercent_DenominatorType } from '../../../../gen/proto/envoy/type/v3/percent_pb.js';
import { millionths } from '../../../envoy/pack.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { mirrorSlot } from './schema.ts';

/** The Host of the copy stays as it is, without Envoy's `-shadow`, as Istio now does. */
export function emitRoute(plan: RoutePlan, message: Route): void {
  const mirrors = read(plan, mirrorSlot);
  if (!mirrors || message.action.case !== 'route') return;
  message.action.value.requestMirrorPolicies = mirrors.map(({ cluster, percent }) =>
    create(RouteAction_RequestMirrorPolicySchema, {
      cluster,
      disableShadowHostSuffixAppend: true,
      runtimeFraction: {
        defaultValue: {
          numerator: millionths(percent),
          denominator: FractionalPercent_DenominatorType.MILLION,
        },
      },
    }),
  );
}
