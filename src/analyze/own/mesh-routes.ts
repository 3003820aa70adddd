import { resolveHost } from '../../plan/hosts.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { VirtualServiceSpec } from '../virtual-service-spec.ts';

interface RouteSpec {
  readonly parentRefs?: readonly {
    readonly group?: string;
    readonly kind?: string;
    readonly name?: string;
    readonly namespace?: string;
    readonly port?: number;
  }[];
}

/** A route of the Gateway API whose parent is a Service. */
interface MeshRoute {
  /** `HTTPRoute shop/reviews` */
  readonly words: string;
  /** Undefined: every caller of the mesh. */
  readonly callersIn?: string;
  /** Undefined: every port. */
  readonly port?: number;
}

/** OST0111: HTTP routes of a VirtualService that no sidecar takes, since a route of the Gateway API decides for the Service. */
export const meshRouteAnalyzer: Analyzer = {
  name: 'ostria.MeshRouteAnalyzer',
  inputs: [kinds.virtualService, kinds.httpRoute, kinds.grpcRoute],
  analyze: (view) => {
    const routes = meshRoutes(view);
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
      const { gateways = ['mesh'], hosts = [], http = [] } = service.spec;
      if (!gateways.includes('mesh') || http.length === 0) continue;
      for (const [index, host] of hosts.entries()) {
        const [route] = routes.get(resolveHost(host, service.namespace, view.domainSuffix)) ?? [];
        if (route) view.report('OST0111', service, wordsOf(route, host), `spec.hosts[${index}]`);
      }
    }
  },
};

/** By the host of the Service that is their parent. */
function meshRoutes(view: AnalysisView): Map<string, MeshRoute[]> {
  const found = new Map<string, MeshRoute[]>();
  for (const kind of [kinds.httpRoute, kinds.grpcRoute])
    for (const item of view.all<RouteSpec>(kind))
      for (const { group, kind: parent, name = '', namespace = item.namespace, port } of item.spec
        .parentRefs ?? []) {
        if (parent !== 'Service' || (group !== '' && group !== 'core')) continue;
        const host = `${name}.${namespace}.svc.${view.domainSuffix}`;
        const route: MeshRoute = {
          words: nameOf(kind, item),
          ...(namespace === item.namespace ? {} : { callersIn: item.namespace }),
          ...(port === undefined ? {} : { port }),
        };
        found.set(host, [...(found.get(host) ?? []), route]);
      }
  return found;
}

function nameOf(kind: string, { namespace, name }: Item<unknown>): string {
  return `${kind.split('.')[0]} ${namespace}/${name}`;
}

function wordsOf({ words, callersIn, port }: MeshRoute, host: string): string {
  const callers = callersIn === undefined ? 'callers in the mesh' : `callers in namespace ${callersIn}`;
  const where = port === undefined ? host : `port ${port} of ${host}`;
  return `${words} has the Service as its parent and decides for ${callers}: the HTTP routes here have no effect on ${where} for them; keep one of the two`;
}
