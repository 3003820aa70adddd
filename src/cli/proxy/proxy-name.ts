/** `name.namespace` out of a node id. */
export function proxyName(proxyId: string): string {
  return proxyId.split('~')[2] ?? proxyId;
}
