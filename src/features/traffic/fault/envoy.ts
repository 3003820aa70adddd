import { create } from '@bufbuild/protobuf';
import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { FaultDelaySchema } from '../../../../gen/proto/envoy/extensions/filters/common/fault/v3/fault_pb.js';
import {
  FaultAbortSchema,
  HTTPFaultSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FractionalPercent_DenominatorType } from '../../../../gen/proto/envoy/type/v3/percent_pb.js';
import { duration, millionths, pack } from '../../../envoy/pack.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { faultSlot } from './schema.ts';

const name = 'envoy.filters.http.fault';
const idle: HttpFilterFragment = { name, config: pack(HTTPFaultSchema, {}), disabled: true };

/** In every chain that picks routes by discovery, off by default: a fault that comes or goes must not rebuild listeners. */
export function httpFilters(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  return chain.network.type === 'http' && chain.direction !== 'inbound' ? [idle] : [];
}

export function emitRoute(plan: RoutePlan, message: Route): void {
  const fault = read(plan, faultSlot);
  if (!fault) return;
  const percentage = (percent: number) => ({
    numerator: millionths(percent),
    denominator: FractionalPercent_DenominatorType.MILLION,
  });
  const config = create(HTTPFaultSchema);
  if (fault.delay)
    config.delay = create(FaultDelaySchema, {
      faultDelaySecifier: { case: 'fixedDelay', value: duration(fault.delay.milliseconds) },
      percentage: percentage(fault.delay.percent),
    });
  if (fault.abort) {
    const { type, code } = fault.abort.status;
    config.abort = create(FaultAbortSchema, {
      errorType: type === 'http' ? { case: 'httpStatus', value: code } : { case: 'grpcStatus', value: code },
      percentage: percentage(fault.abort.percent),
    });
  }
  message.typedPerFilterConfig[name] = pack(HTTPFaultSchema, config);
}
