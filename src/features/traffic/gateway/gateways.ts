import type { Origin } from '../../../config/origin.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ingressGateway, ingressGateways, ingressServerOrigin } from '../ingress/schema.ts';
import { allGateways, type Gateway, gatewayKind, gatewayOrigin } from './kinds.ts';

/** A Gateway by its key: an object, or what stands for an Ingress. */
export function gatewayAt(view: View, key: Key): Gateway | undefined {
  return view.get(gatewayKind, key) ?? view.call(ingressGateway, key);
}

export const gatewayKeys = defineQuery('gateway.keys', (view): readonly Key[] => [
  ...view.list(allGateways, ''),
  ...view.call(ingressGateways),
]);

/** What the user wrote that became a server. */
export function serverOrigin(view: View, key: Key, index: number): Origin {
  const gateway = view.get(gatewayKind, key);
  if (gateway) return gatewayOrigin(gateway, `spec.servers[${index}]`);
  return ingressServerOrigin(view, key, index) ?? { kind: 'Gateway', namespace: '', name: key, path: '' };
}
