import { splitKey } from '../config/object.ts';
import { parseIp } from '../kit/ip.ts';
import type { View } from '../snapshot/view.ts';
import { proxyNamespace } from './attributes.ts';
import { servicesByVirtualIp } from './service-scope.ts';

/** A Host header in parts: the name in lower case, without the brackets of an IPv6 address and the final dot. */
export function splitAuthority(authority: string): { readonly name: string; readonly port: string } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(authority.toLowerCase());
  return { name: (match?.[1] ?? match?.[2] ?? '').replace(/\.$/, ''), port: match?.[3] ?? '' };
}

/** Whether a name from a request may become a domain: no wildcards, nothing that Envoy would refuse. */
export function isDomain(name: string): boolean {
  return (
    name.length <= 253 && (/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(name) || parseIp(name) !== undefined)
  );
}

/** Hosts that a name from a request might mean to the asking proxy, the most specific first. */
export function* meantHosts(view: View, name: string): Iterable<string> {
  yield name;
  const suffix = view.mesh('domainSuffix');
  const parts = name.split('.');
  if (parseIp(name)) for (const key of view.list(servicesByVirtualIp, name)) yield splitKey(key).name;
  else {
    if (parts.length === 1) yield `${name}.${view.attribute(proxyNamespace)}.svc.${suffix}`;
    if (parts.length === 2) yield `${name}.svc.${suffix}`;
    if (parts.length === 3 && parts[2] === 'svc') yield `${name}.${suffix}`;
    for (let i = 1; i < parts.length; i++) yield `*.${parts.slice(i).join('.')}`;
  }
  yield '*';
}
