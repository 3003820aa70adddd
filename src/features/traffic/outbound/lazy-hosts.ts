import { isDomain, splitAuthority } from '../../../plan/authority.ts';
import type { AskedHost } from '../../../plan/feature.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { usedHosts } from '../../../plan/loaded-hosts.ts';
import { serviceOn } from '../../../plan/service-scope.ts';
import { outboundPolicy } from '../../../plan/sidecar.ts';
import { unknownDomain, unknownGroup, unknownGroups, unknownIn } from '../../../plan/unknown-hosts.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hostOfName } from './authority.ts';
import { extraHosts, httpPortsOf } from './extra-hosts.ts';

/** Key of a group of hosts that nobody configured: no host has the sign in its name. */
const unknownSign = '?';

export function unknownGroupKey(group: string): Key {
  return `${unknownSign}${group}`;
}

/** The group of such a key; undefined for the key of a host that somebody configured. */
export function groupOfKey(key: Key): string | undefined {
  return key.startsWith(unknownSign) ? key.slice(unknownSign.length) : undefined;
}

/** The hosts of a port that a lazy proxy was asked for, and unknown ones where the policy passes them through. */
export const lazyHttpHosts = defineQuery('outbound.lazy-http-hosts', (view, port: Key): readonly string[] => {
  const extra = new Set(view.call(extraHosts));
  const found = view
    .call(usedHosts, 'routes')
    .filter((host) => servesHttp(view, host, port) || extra.has(`${port}|${host}`));
  const unknown = unknownGroups.filter((group) => view.call(unknownOnPort, port, group).length > 0);
  return [...found, ...unknown.map(unknownGroupKey)].sort();
});

function servesHttp(view: View, host: string, port: string): boolean {
  return view.call(httpPortsOf, serviceOn(view, host, port)).includes(port);
}

/** The domains of a group in one route configuration, as far as nobody configured them and the policy passes them on. */
export function unknownDomains(
  view: View,
  routes: Key,
  group: Key,
  known: (authority: string) => string,
): string[] {
  if (view.call(outboundPolicy).mode === 'REGISTRY_ONLY') return [];
  return view
    .call(unknownIn, 'routes', group)
    .filter((entry) => entry.startsWith(`${routes}/`))
    .map(unknownDomain)
    .filter((authority) => known(authority) === '');
}

/** The same for an outbound port. */
export const unknownOnPort = defineQuery('outbound.unknown-on-port', (view, port: Key, group: Key) =>
  unknownDomains(view, port, group, (authority) => view.call(httpHostOf, port, authority)),
);

const httpHostOf = defineQuery('outbound.http-host-of', (view, port: Key, name: Key): string =>
  hostOfName(view, name, port, (service) => view.call(httpPortsOf, service).includes(port)),
);

/** What the Host of a request on an outbound port means. Ports in the Host are no part of the comparison. */
export function askOutbound(view: View, port: Key, authority: string): AskedHost | undefined {
  if (!/^\d+$/.test(port) || !view.call(isLazy)) return undefined;
  const { name } = splitAuthority(authority);
  if (!isDomain(name)) return {};
  const host = view.call(httpHostOf, port, name);
  return host === '' ? { unknown: name, name: unknownGroup(name) } : { host, name: `${host}:${port}` };
}
