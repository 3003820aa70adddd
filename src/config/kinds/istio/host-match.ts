/** True where some name matches both hosts. A wildcard (`*.example.com`) stands for any start. */
export function hostsOverlap(a: string, b: string): boolean {
  if (a.startsWith('*') && b.startsWith('*')) {
    const [shorter = '', longer = ''] = [a.slice(1), b.slice(1)].sort((x, y) => x.length - y.length);
    return longer.endsWith(shorter);
  }
  return isSubsetHost(a, b) || isSubsetHost(b, a);
}

/** True where every name that `inner` matches is matched by `outer` too. */
export function isSubsetHost(inner: string, outer: string): boolean {
  const a = inner.toLowerCase();
  const b = outer.toLowerCase();
  if (!b.startsWith('*')) return a === b;
  const suffix = b.slice(1);
  const body = a.startsWith('*') ? a.slice(1) : a;
  return body.endsWith(suffix) && (a.startsWith('*') || body.length > suffix.length || suffix === '');
}
