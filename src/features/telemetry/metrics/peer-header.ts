import { create } from '@bufbuild/protobuf';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '../../../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { Route, VirtualHost } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { ConfigSchema } from '../../../../gen/proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js';
import { pack } from '../../../envoy/pack.ts';
import { peerVariable } from '../../../kit/workload-facts.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read, type Slotted } from '../../../plan/slot.ts';
import { metricsSlot, peerSlot } from './schema.ts';

/**
 * Who sends a request, for the server's metrics. It is a claim: the sidecar that made the request wrote it, whose certificate proves the
 * principal and nothing more. It is read where there is a certificate at all, and never reaches an application.
 */
const peerHeader = 'x-ostria-peer';
/** The request's filter state that keeps the claim: a text. Metadata would be a third dearer. */
export const peerState = 'ostria.peer';
/** Bytes of a claim that are read; what sidecars write has some hundred. */
const maxClaim = 4096;

/** Envoy takes the value from its environment, so that all sidecars share the bytes of a route. */
const told = create(HeaderValueOptionSchema, {
  header: { key: peerHeader, value: `%ENVIRONMENT(${peerVariable})%` },
  appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
});

export function addPeer(plan: Slotted, message: Route | VirtualHost): void {
  const peer = read(plan, peerSlot);
  if (peer === 'told') message.requestHeadersToAdd.push(told);
  else if (peer === 'withheld') message.requestHeadersToRemove.push(peerHeader);
}

const kept: HttpFilterFragment = {
  name: 'envoy.filters.http.set_filter_state',
  config: pack(ConfigSchema, {
    onRequestHeaders: [
      {
        key: { case: 'objectKey', value: peerState },
        factoryKey: 'envoy.string',
        value: {
          case: 'formatString',
          value: {
            format: {
              case: 'textFormatSource',
              value: { specifier: { case: 'inlineString', value: `%REQ(${peerHeader}):${maxClaim}%` } },
            },
          },
        },
        skipIfEmpty: true,
      },
    ],
  }),
};

/**
 * Without a certificate nobody can be believed. The route to the application removes the header, with and without; the metrics are made after
 * that, so what it said has to be kept.
 */
export function keepPeer(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  const plan = read(chain, metricsSlot);
  return plan?.reporter === 'destination' && plan.security === 'mutual_tls' ? [kept] : [];
}
