import { create } from '@bufbuild/protobuf';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '../../../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { Route, VirtualHost } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  ConfigSchema,
  Config_ValueType as ValueType,
} from '../../../../gen/proto/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata_pb.js';
import { originNamespace, pack } from '../../../envoy/pack.ts';
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
/** Where the claim is kept in a request's metadata, under `ostria`. */
export const peerKey = 'peer';

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

const taken: HttpFilterFragment = {
  name: 'envoy.filters.http.header_to_metadata',
  config: pack(ConfigSchema, {
    requestRules: [
      {
        header: peerHeader,
        onHeaderPresent: { metadataNamespace: originNamespace, key: peerKey, type: ValueType.STRING },
        remove: true,
      },
    ],
  }),
};

/** Without a certificate nobody can be believed: there the route to the application only removes the header. */
export function takePeer(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  const plan = read(chain, metricsSlot);
  return plan?.reporter === 'destination' && plan.security === 'mutual_tls' ? [taken] : [];
}
