import { isDomain, splitAuthority } from '../../../plan/authority.ts';
import type { AskedHost } from '../../../plan/feature.ts';
import { isLazy, usage } from '../../../plan/lazy.ts';
import { usedHosts } from '../../../plan/loaded-hosts.ts';
import { serviceOn } from '../../../plan/service-scope.ts';
import { outboundPolicy } from '../../../plan/sidecar.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hostOfName } from './authority.ts';
import { extraHosts, httpPortsOf } from './extra-hosts.ts';

/** Key of a host that nobody configured: no host has the sign in its name. */
const unknownSign = '?';

export function unknownHostKey(authority: string): Key {
  return `${unknownSign}${authority}`;
}

/** The authority of an unknown host's key; undefined for the key of a host that somebody configured. */
export function unknownAuthority(key: Key): string | undefined {
  return key.startsWith(unknownSign) ? key.slice(unknownSign.length) : undefined;
}

/** The hosts of a port that a lazy proxy was asked for, and unknown ones where the policy passes them through. */
export const lazyHttpHosts = defineQuery('outbound.lazy-http-hosts', (view, port: Key): readonly string[] => {
  const extra = new Set(view.call(extraHosts));
  const found = view
    .call(usedHosts)
    .filter((host) => servesHttp(view, host, port) || extra.has(`${port}|${host}`));
  return [
    ...found,
    ...unknownHosts(view, port, (authority) => httpHostOf(view, port, authority)).map(unknownHostKey),
  ].sort();
});

function servesHttp(view: View, host: string, port: string): boolean {
  return view.call(httpPortsOf, serviceOn(view, host, port)).includes(port);
}

/** The authorities of one route configuration that nobody configured, and still nobody does. */
export function unknownHosts(view: View, routes: Key, known: (authority: string) => string): string[] {
  const { unknown } = view.call(usage);
  if (unknown.length === 0 || view.call(outboundPolicy).mode === 'REGISTRY_ONLY') return [];
  return unknown
    .filter((entry) => entry.startsWith(`${routes}/`))
    .map((entry) => entry.slice(routes.length + 1))
    .filter((authority) => known(authority) === '');
}

function httpHostOf(view: View, port: string, name: string): string {
  return hostOfName(view, name, port, (service) => view.call(httpPortsOf, service).includes(port));
}

/** What the Host of a request on an outbound port means. Ports in the Host are no part of the comparison. */
export function askOutbound(view: View, port: Key, authority: string): AskedHost | undefined {
  if (!/^\d+$/.test(port) || !view.call(isLazy)) return undefined;
  const { name } = splitAuthority(authority);
  if (!isDomain(name)) return {};
  const host = httpHostOf(view, port, name);
  return host === '' ? { name } : { host, name: `${host}:${port}` };
}
