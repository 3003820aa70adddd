import type { HTTPRouteRulesSessionPersistence } from '../../../../gen/crd/types/gateway-api/http-route.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { SessionPlan } from '../session-persistence/schema.ts';

/** `identity` tells a rule's sessions from those of others where it gives them no name. */
export function planSession(
  { type = 'Cookie', sessionName, absoluteTimeout, cookieConfig }: HTTPRouteRulesSessionPersistence,
  identity: string,
): SessionPlan {
  const name = sessionName ?? `session-${identity.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase()}`;
  if (type === 'Header') return { type: 'header', name };
  const ttlMs = cookieConfig?.lifetimeType === 'Permanent' ? parseDuration(absoluteTimeout) : undefined;
  return { type: 'cookie', name, ...(ttlMs === undefined ? {} : { ttlMs }) };
}
