import type { MeshProxy } from '../../snapshot/proxy.ts';
import { typeUrls } from '../../snapshot/resource.ts';
import type { ProxyStatus } from '../../xds/ledger.ts';
import { DebugError, type DebugScope, isVisible } from './debug-page.ts';

/** A proxy that is connected, with what the ledger knows of it. */
export interface ConnectedProxy {
  readonly proxy: MeshProxy;
  readonly status: ProxyStatus;
}

export interface ProxySource {
  readonly proxies: ReadonlyMap<string, MeshProxy>;
  statuses(): ProxyStatus[];
}

/** The connected proxies that a caller may see, in the order of their ids. */
export function visibleProxies(source: ProxySource, scope: DebugScope): ConnectedProxy[] {
  return source.statuses().flatMap((status) => {
    const proxy = source.proxies.get(status.proxyId);
    return proxy && isVisible(scope, proxy.namespace) ? [{ proxy, status }] : [];
  });
}

/**
 * The proxy that `proxyID` means: `name.namespace`, or a part of its node id. Throws DebugError; the words of both are Istio's own, which
 * its command line looks for. A proxy of another namespace is not there for the caller.
 */
export function proxyOfQuery(source: ProxySource, query: URLSearchParams, scope: DebugScope): ConnectedProxy {
  const id = query.get('proxyID') ?? '';
  if (id === '') throw new DebugError(400, 'You must provide a proxyID in the query string');
  const found = findProxy(source, id, scope);
  if (found) return found;
  throw new DebugError(
    404,
    'Proxy not connected to this Pilot instance. It may be connected to another instance.',
  );
}

export function findProxy(source: ProxySource, id: string, scope: DebugScope): ConnectedProxy | undefined {
  const visible = visibleProxies(source, scope);
  return (
    visible.find(({ proxy }) => proxy.id === id || `${proxy.name}.${proxy.namespace}` === id) ??
    visible.find(({ proxy }) => proxy.id.includes(id))
  );
}

/** A connection's name, as Istio numbers them: here one per proxy and moment of connecting. */
function connectionId({ proxy, status }: ConnectedProxy): string {
  return `${proxy.name}.${proxy.namespace}-${status.connectedAt}`;
}

/** `/debug/syncz`: Istio's fields, and the ledger's own beside them. */
export function syncStatus({ proxy, status }: ConnectedProxy): Record<string, unknown> {
  const mark = (typeUrl: string) => status.types.find((one) => one.typeUrl === typeUrl);
  const fields: [string, string][] = [
    ['cluster', typeUrls.cluster],
    ['listener', typeUrls.listener],
    ['route', typeUrls.route],
    ['endpoint', typeUrls.endpoints],
    ['extensionconfig', typeUrls.extension],
  ];
  return {
    cluster_id: proxy.clusterId,
    proxy: `${proxy.name}.${proxy.namespace}`,
    proxy_type: proxy.type,
    istio_version: istioVersionOf(proxy),
    ...Object.fromEntries(
      fields.flatMap(([name, typeUrl]) => {
        const { sent, acknowledged, state } = mark(typeUrl) ?? {};
        // What a proxy brought along when it came back was sent by an earlier connection: readers take two empty ones for never sent.
        const kept = state === 'SYNCED' && !sent ? { nonce: 'kept' } : undefined;
        const marks = { sent: sent ?? kept, acked: acknowledged ?? kept };
        return Object.entries(marks).flatMap(([what, one]) => (one ? [[`${name}_${what}`, one.nonce]] : []));
      }),
    ),
    resources: Object.fromEntries(
      status.types.map(({ typeUrl, sent, acknowledged, rejected }) => [
        typeUrl,
        {
          ...(sent ? { sent: sent.nonce, sentTime: new Date(sent.at).toISOString() } : {}),
          ...(acknowledged ? { acked: acknowledged.nonce } : {}),
          ...(rejected[0] ? { lastError: rejected[0].message } : {}),
        },
      ]),
    ),
    ...status,
  };
}

/** `/debug/connections`. */
export function connections(proxies: readonly ConnectedProxy[]): Record<string, unknown> {
  return {
    totalClients: proxies.length,
    clients: proxies.map(clientOf),
  };
}

/** `/debug/adsz`: each connection with its node and what it watches. */
export function adsClients(
  proxies: readonly ConnectedProxy[],
  heldNames: (proxyId: string) => Readonly<Record<string, readonly string[]>>,
): Record<string, unknown> {
  return {
    totalClients: proxies.length,
    clients: proxies.map((one) => ({
      ...clientOf(one),
      labels: one.proxy.labels,
      metadata: one.proxy.metadata,
      locality: one.proxy.locality,
      watches: heldNames(one.proxy.id),
    })),
  };
}

function clientOf(one: ConnectedProxy): Record<string, unknown> {
  return {
    connectionId: connectionId(one),
    connectedAt: new Date(one.status.connectedAt).toISOString(),
    address: one.status.address,
  };
}

export function istioVersionOf({ metadata }: MeshProxy): string {
  return typeof metadata.ISTIO_VERSION === 'string' ? metadata.ISTIO_VERSION : '';
}
