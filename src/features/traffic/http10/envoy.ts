import { create } from '@bufbuild/protobuf';
import { Http1ProtocolOptionsSchema } from '../../../../gen/proto/envoy/config/core/v3/protocol_pb.js';
import type { HttpConnectionManager } from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { http10Slot } from './plan.ts';

/** Requests of HTTP/1.0 need no Host; they are routed under a name that none has. */
const nameless = 'http10.invalid';

export function setHttp10(plan: FilterChainPlan, message: HttpConnectionManager): void {
  if (!read(plan, http10Slot)) return;
  const options = message.httpProtocolOptions ?? create(Http1ProtocolOptionsSchema);
  options.acceptHttp10 = true;
  options.defaultHostForHttp10 = nameless;
  message.httpProtocolOptions = options;
}
