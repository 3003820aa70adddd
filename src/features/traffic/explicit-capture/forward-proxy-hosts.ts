import { isDomain, splitAuthority } from '../../../plan/authority.ts';
import type { AskedHost } from '../../../plan/feature.ts';
import { authorityOfAddress } from '../../../plan/hosts.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { usedHosts } from '../../../plan/loaded-hosts.ts';
import { isCarried, portsOf, seenServices, visibleHosts } from '../../../plan/service-scope.ts';
import { unknownGroup, unknownGroups } from '../../../plan/unknown-hosts.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { extraHosts, hostOfName, unknownDomains, unknownGroupKey } from '../outbound/schema.ts';

export const forwardProxyRoutes = 'http_proxy';

const carriedPorts = defineQuery('explicit.carried-ports', (view, service: Key): readonly string[] =>
  view
    .call(portsOf, service)
    .filter(isCarried)
    .map((port) => String(port.port)),
);

function portsOfHost(view: View, host: string): string[] {
  return seenServices(view, host).flatMap(({ service, sees }) =>
    view.call(carriedPorts, service).filter(sees),
  );
}

/** `host:port` of everything that can be asked for by name and that the asking proxy holds. */
export const forwardProxyHosts = defineQuery(
  'explicit.forward-proxy-hosts',
  (view, _name: Key): readonly Key[] => (view.call(isLazy) ? view.call(askedHosts) : view.call(allHosts)),
);

const allHosts = defineQuery('explicit.all-hosts', (view): readonly Key[] => {
  const services = view
    .call(visibleHosts)
    .flatMap((host) => portsOfHost(view, host).map((port) => `${host}:${port}`));
  const extra = view.call(extraHosts).map((entry) => {
    const [port, host] = entry.split('|');
    return `${host}:${port}`;
  });
  return [...new Set([...services, ...extra])].sort();
});

const authoritiesOf = defineQuery('explicit.authorities-of', (view, host: Key): readonly Key[] =>
  portsOfHost(view, host).map((port) => `${host}:${port}`),
);

/** Those that a lazy proxy was asked for, and unknown ones where the policy passes them through. */
const askedHosts = defineQuery('explicit.asked-hosts', (view): readonly Key[] => {
  const used = view.call(usedHosts, 'routes');
  const isUsed = new Set(used);
  const services = used.flatMap((host) => view.call(authoritiesOf, host));
  const extra = view.call(extraHosts).flatMap((entry) => {
    const [port, host = ''] = entry.split('|');
    return isUsed.has(host) ? [`${host}:${port}`] : [];
  });
  const unknown = unknownGroups.filter((group) => view.call(unknownAsked, group).length > 0);
  return [...new Set([...services, ...extra, ...unknown.map(unknownGroupKey)])].sort();
});

/** The domains of a group of unknown hosts that the forward proxy passes on. */
export const unknownAsked = defineQuery('explicit.unknown-asked', (view, group: Key): readonly string[] =>
  unknownDomains(
    view,
    forwardProxyRoutes,
    group,
    (authority) => view.call(configuredHost, authority)?.host ?? '',
  ),
);

/** The host and port that a request to the forward proxy is for, if somebody configured them. */
const configuredHost = defineQuery(
  'explicit.configured-host',
  (view, authority: Key): { readonly host: string; readonly port: string } | undefined => {
    const { name, port: written } = splitAuthority(authority);
    const port = written || '80';
    if (!isDomain(name)) return undefined;
    const host = hostOfName(view, name, port, (service) => view.call(carriedPorts, service).includes(port));
    return host === '' ? undefined : { host, port };
  },
);

/** What the Host of a request to the forward proxy means. */
export function askForwardProxy(view: View, routes: Key, authority: string): AskedHost | undefined {
  if (routes !== forwardProxyRoutes || !view.call(isLazy)) return undefined;
  const found = view.call(configuredHost, authority);
  if (found) return { host: found.host, name: `${found.host}:${found.port}` };
  const { name, port } = splitAuthority(authority);
  if (!isDomain(name)) return {};
  const unknown = `${authorityOfAddress(name)}${port === '' ? '' : `:${port}`}`;
  return { unknown, name: unknownGroup(unknown) };
}
