import type {
  HTTPRouteRulesBackendRefsFiltersExternalAuth as ExternalAuthFilter,
  HTTPRouteSpec,
} from '../../../../gen/crd/types/gateway-api/http-route.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { type AskedAuthorizer, mayAskSlot, notGrpc } from '../../security/external-authorization/schema.ts';
import { resolveBackend } from './backends.ts';
import type { Filters } from './filters.ts';
import { httpRouteKind, originIn, type RouteId } from './kinds.ts';
import type { Fault, Resolved } from './references.ts';

/** The API names no limit; a request that waits longer is refused. */
const answerMs = 10_000;

/** How an authorization server that a filter names is asked. It fails closed. */
function authorizerOf(view: View, route: RouteId, filter: ExternalAuthFilter): Resolved<Authorizer> {
  const backend = resolveBackend(view, route, filter.backendRef);
  if (!backend.ok) return backend;
  const { host, cluster, picker } = backend.value;
  if (picker)
    return { ok: false, reason: 'InvalidKind', message: 'an InferencePool does not answer for ExternalAuth' };
  const { protocol, http, grpc, forwardBody } = filter;
  const trouble = protocol === 'GRPC' ? notGrpc(view, backend.value.service, backend.value.port) : undefined;
  if (trouble !== undefined) return { ok: false, reason: 'UnsupportedProtocol', message: trouble };
  const maxBytes = forwardBody?.maxSize ?? 0;
  return {
    ok: true,
    value: {
      protocol: protocol === 'GRPC' ? 'grpc' : 'http',
      host,
      cluster,
      timeoutMs: answerMs,
      failOpen: false,
      statusOnError: 0,
      clearRouteCache: false,
      ...(maxBytes > 0 ? { body: { maxBytes, partial: true, asBytes: false } } : {}),
      requestHeaders: (protocol === 'GRPC' ? grpc : http)?.allowedHeaders ?? [],
      pathPrefix: http?.path ?? '',
      addedHeaders: [],
      toUpstreamOnAllow: http?.allowedResponseHeaders?.length ? http.allowedResponseHeaders : ['*'],
      toClientOnAllow: [],
      toClientOnDeny: [],
    },
  };
}

/** Whom the filters at a path ask; one who cannot be asked lets nothing through (`authorizerFault`). */
export function authorizerAt(
  view: View,
  route: RouteId,
  { authorizers: [first] }: Filters,
  path: string,
): AskedAuthorizer | undefined {
  const found = first && authorizerOf(view, route, first.filter);
  return found?.ok ? { authorizer: found.value, path: `${path}.filters[${first?.at}]` } : undefined;
}

/** Why an authorization server cannot be asked. */
export function authorizerFault(view: View, route: RouteId, { authorizers }: Filters): Fault | undefined {
  const [first, second] = authorizers;
  const found = first && authorizerOf(view, route, first.filter);
  if (found && !found.ok) return { ...found, message: `filter ExternalAuth: ${found.message}` };
  return (
    second && { reason: 'UnsupportedValue', message: 'one ExternalAuth filter can be asked, not several' }
  );
}

function asks({ rules = [] }: HTTPRouteSpec): boolean {
  return rules.some((rule) =>
    [...(rule.filters ?? []), ...(rule.backendRefs ?? []).flatMap(({ filters }) => filters ?? [])].some(
      ({ type }) => type === 'ExternalAuth',
    ),
  );
}

/** HTTPRoutes that ask, with a parent of the mesh. */
const askingInMesh = defineIndex('gateway-api-asking-in-mesh', httpRouteKind, ({ spec }) =>
  spec?.parentRefs?.some(({ kind = 'Gateway' }) => kind === 'Service' || kind === 'ServiceEntry') &&
  asks(spec)
    ? ['']
    : [],
);

/** Sidecars have the filter for authorizers where some route of the mesh asks one. */
export function decorateChainWithAuthorizers(view: View, chain: FilterChainPlan): void {
  if (chain.direction !== 'outbound' || chain.network.type !== 'http') return;
  const [first] = view.list(askingInMesh, '');
  if (first !== undefined) fill(chain, mayAskSlot, true, originIn(`HTTPRoute/${first}`, 'spec.rules'));
}
