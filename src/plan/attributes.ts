import { isSwitchedOn } from '../kit/switched-on.ts';
import { type Attribute, defineAttribute } from '../snapshot/attribute.ts';

export const proxyType = defineAttribute('type', (proxy) => proxy.type);
export const proxyNamespace = defineAttribute('namespace', (proxy) => proxy.namespace);
/** How traffic reaches the proxy; few values, so it splits few classes. */
export const captureMode = defineAttribute('capture', (proxy) => proxy.capture);
/** Whether virtual hosts travel one by one. */
export const usesVhds = defineAttribute('vhds', (proxy) => proxy.vhds);
/** `namespace/name`: one value per workload. Read it only in queries that are small and per proxy by nature. */
export const workloadId = defineAttribute('workload', (proxy) => `${proxy.namespace}/${proxy.name}`);
/** The proxy's addresses, comma-separated: per proxy by nature too. */
export const proxyAddresses = defineAttribute('addresses', (proxy) => proxy.addresses.join(','));
/** Whether the proxy has an IPv6 address. */
export const hasIpv6 = defineAttribute('ipv6', (proxy) => proxy.addresses.some((ip) => ip.includes(':')));
/** Whether the proxy has an IPv4 address; one that names no address at all is taken to have one. */
export const hasIpv4 = defineAttribute(
  'ipv4',
  (proxy) => proxy.addresses.length === 0 || proxy.addresses.some((ip) => !ip.includes(':')),
);
/** Whether the agent answers the application's DNS queries: only then do automatic virtual IPs reach the proxy. */
export const dnsCapture = defineAttribute('dns-capture', ({ metadata }) =>
  isSwitchedOn(metadata.DNS_CAPTURE),
);
/** Whether the proxy was told to take HTTP/1.0 (`ISTIO_META_HTTP10`). */
export const acceptsHttp10 = defineAttribute('http10', ({ metadata }) => isSwitchedOn(metadata.HTTP10));
/** Whether the proxy's Envoy keeps no statistics by response code (`OSTRIA_CODE_STATS: none`), so that counting them would be for nothing. */
export const omitsCodeStats = defineAttribute(
  'omits-code-stats',
  ({ metadata }) => metadata.OSTRIA_CODE_STATS === 'none',
);
/** The explicit capture's allocation as canonical JSON; '' without one. Per proxy by nature. */
export const explicitCapture = defineAttribute('explicit', (proxy) =>
  proxy.explicit ? JSON.stringify(proxy.explicit) : '',
);
/** `region/zone/subzone`, '' where unknown. */
export const proxyLocality = defineAttribute('locality', ({ locality }) =>
  locality.region === '' ? '' : `${locality.region}/${locality.zone}/${locality.subZone}`,
);

/**
 * Whether the proxy runs in one given namespace: two classes, where reading the namespace itself would make one per namespace.
 * Attributes are identified by `id`, so making one on the fly is as good as a constant.
 */
export function inNamespace(namespace: string): Attribute<boolean> {
  return { id: `namespace=${namespace}`, value: (proxy) => proxy.namespace === namespace };
}
