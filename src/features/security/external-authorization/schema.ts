import type { Authorizer } from '../../../plan/authorizer.ts';
import { defineSlot } from '../../../plan/slot.ts';

export { notGrpc } from './asked-port.ts';

export interface AskedAuthorizer {
  readonly authorizer: Authorizer;
  /** The filter that asks, as a path in the route's object. */
  readonly path: string;
}

/** Who is asked before a request of a route goes on; both must agree. */
export interface RouteAuthorizersPlan {
  /** About every request of the route. */
  readonly rule?: AskedAuthorizer;
  /** Then, about what goes to a destination: its index → whom. */
  readonly backends: Readonly<Record<number, AskedAuthorizer>>;
}

export const routeAuthorizersSlot = defineSlot<RouteAuthorizersPlan>('authorizers');

/** On filter chains: routes behind it may ask. */
export const mayAskSlot = defineSlot<true>('mayAskAuthorizers', { visible: false });
