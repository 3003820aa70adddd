import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { TypedExtensionConfigSchema } from '../../../../gen/proto/envoy/config/core/v3/extension_pb.js';
import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { CookieBasedSessionStateSchema } from '../../../../gen/proto/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { HeaderBasedSessionStateSchema } from '../../../../gen/proto/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { duration, pack } from '../../../envoy/pack.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { keepsSessionsSlot, type SessionPlan, sessionSlot } from './schema.ts';

const name = 'envoy.filters.http.stateful_session';
const idle: HttpFilterFragment = { name, config: pack(StatefulSessionSchema, {}), disabled: true };

/** Only where a route behind the chain asks for it, and off on every other route. */
export function httpFilters(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  return read(chain, keepsSessionsSlot) ? [idle] : [];
}

export function emitRoute(plan: RoutePlan, message: Route): void {
  const session = read(plan, sessionSlot);
  if (!session) return;
  message.typedPerFilterConfig[name] = pack(StatefulSessionPerRouteSchema, {
    override: {
      case: 'statefulSession',
      value: {
        sessionState: create(TypedExtensionConfigSchema, {
          name: `envoy.http.stateful_session.${session.type}`,
          typedConfig: stateOf(session),
        }),
      },
    },
  });
}

function stateOf(session: SessionPlan): Any {
  if (session.type === 'header') return pack(HeaderBasedSessionStateSchema, { name: session.name });
  return pack(CookieBasedSessionStateSchema, {
    cookie: {
      name: session.name,
      path: '/',
      ...(session.ttlMs === undefined ? {} : { ttl: duration(session.ttlMs) }),
    },
  });
}
