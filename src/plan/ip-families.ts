import { loopbackOnly } from '../kit/ip.ts';
import { defineAttribute } from '../snapshot/attribute.ts';
import type { View } from '../snapshot/view.ts';
import { hasIpv4, hasIpv6 } from './attributes.ts';

/** The wildcard addresses of the families that the asking proxy has; IPv4's first. */
export function wildcards(view: View): readonly [string, ...string[]] {
  return forFamilies(view, '0.0.0.0', '::');
}

/** One of two addresses, or both, by the families that the asking proxy has. */
export function forFamilies(view: View, ipv4: string, ipv6: string): readonly [string, ...string[]] {
  if (!view.attribute(hasIpv6)) return [ipv4];
  return view.attribute(hasIpv4) ? [ipv4, ipv6] : [ipv6];
}

/** A listener's address, and the further ones where there are any. */
export function listenOn([address, ...additionalAddresses]: readonly [string, ...string[]]) {
  return { address, ...(additionalAddresses.length > 0 ? { additionalAddresses } : {}) };
}

/**
 * Which addresses of a name the proxy calls. A loopback address tells nothing of the networks that it reaches: IPv4 first then, and
 * IPv6 where there is no other, as for proxies that have IPv4 alone.
 */
export const lookupFamily = defineAttribute('lookup-family', ({ addresses }) => {
  const outside = addresses.filter((address) => !loopbackOnly(address));
  if (!outside.some((address) => address.includes(':'))) return 'ipv4-first';
  return outside.some((address) => !address.includes(':')) ? 'both' : 'ipv6-first';
});
