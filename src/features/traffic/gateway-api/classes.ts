import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { controllerName, gatewayClassKind, gatewayKind } from './kinds.ts';

/** The class that is ours even where no GatewayClass says so: people's Gateways name it. */
export const builtInClass = 'istio';

const ownsClass = defineQuery('gateway-api.owns-class', (view, name: Key): boolean => {
  const object = view.get(gatewayClassKind, `/${name}`);
  return object ? object.spec?.controllerName === controllerName : name === builtInClass;
});

/** Whether another controller has a class. */
export function isForeignClass(view: View, name: string): boolean {
  const object = view.get(gatewayClassKind, `/${name}`);
  return object?.spec !== undefined && object.spec.controllerName !== controllerName;
}

/** Whether a Gateway (`namespace/name`) is there and of a class of ours. */
export const isOurs = defineQuery('gateway-api.is-ours', (view, gateway: Key): boolean => {
  const name = view.get(gatewayKind, gateway)?.spec?.gatewayClassName;
  return name !== undefined && view.call(ownsClass, name);
});

export function ownsGatewayClass(view: View, name: string): boolean {
  return view.call(ownsClass, name);
}
