/** A host as written in a VirtualService, DestinationRule or Gateway: names without a dot belong to the object's namespace. */
export function resolveHost(host: string, namespace: string, domainSuffix: string): string {
  if (host === '' || host.includes('.') || host.startsWith('*')) return host;
  return `${host}.${namespace}.svc.${domainSuffix}`;
}

/**
 * Index key of a written host. Indexes are pure functions of the object and do not know the domain suffix, so a short name is
 * filed as `~name.namespace`; `hostKeys` gives the keys under which a full name may be filed.
 */
export function hostKey(host: string, namespace: string): string {
  return host.includes('.') || host.startsWith('*')
    ? host.toLowerCase()
    : `~${host.toLowerCase()}.${namespace}`;
}

export function hostKeys(fqdn: string, domainSuffix: string): readonly string[] {
  const short = shortName(fqdn, domainSuffix);
  return short === undefined ? [fqdn] : [fqdn, `~${short.name}.${short.namespace}`];
}

/** The parts of `name.namespace.svc.<suffix>`, undefined for any other host. */
export function shortName(
  fqdn: string,
  domainSuffix: string,
): { readonly name: string; readonly namespace: string } | undefined {
  const tail = `.svc.${domainSuffix}`;
  if (!fqdn.endsWith(tail)) return undefined;
  const head = fqdn.slice(0, -tail.length);
  const dot = head.indexOf('.');
  if (dot <= 0 || head.indexOf('.', dot + 1) >= 0) return undefined;
  return { name: head.slice(0, dot), namespace: head.slice(dot + 1) };
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

/** Whether a pattern (`*`, `*.example.com` or an exact host) covers a host or a narrower pattern. */
export function hostCovers(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('*') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
}

/** Whether some host is covered by both patterns. */
export function hostsOverlap(a: string, b: string): boolean {
  return hostCovers(a, b) || hostCovers(b, a);
}

/**
 * Names by which an application may call a service, without those that its resolver could not find from the namespace:
 * `reviews`, `reviews.default`, `reviews.default.svc` and the full name with and without the final dot.
 * @see https://istio.io/latest/docs/reference/config/networking/virtual-service/#VirtualService (short names)
 */
export function domainVariants(fqdn: string, domainSuffix: string, sameNamespace: boolean): string[] {
  const short = shortName(fqdn, domainSuffix);
  if (!short) return isWildcard(fqdn) ? [fqdn] : [fqdn, `${fqdn}.`];
  const base = `${short.name}.${short.namespace}`;
  // A pattern has no short form: that would be every host there is.
  if (isWildcard(fqdn)) return [fqdn, base, `${base}.svc`];
  const names = [fqdn, `${fqdn}.`, base, `${base}.svc`];
  if (sameNamespace) names.push(short.name);
  return names;
}

/** An IP address as it stands in a Host header. */
export function authorityOfAddress(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
