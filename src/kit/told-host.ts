/**
 * How a cluster tells the metrics of its service, in one text, as each one that Envoy looks up costs time on every request: the host and, behind
 * a `/`, the namespace where the host does not name it as a Kubernetes service's does.
 */
export function tellHost(host: string, namespace: string): string {
  return namespaceInHost(host) === namespace ? host : `${host}/${namespace}`;
}

/** The namespace is undefined where nothing tells it. */
export function readHost(told: string): { readonly host: string; readonly namespace: string | undefined } {
  const [host = '', namespace] = told.split('/');
  return { host, namespace: namespace ?? namespaceInHost(host) };
}

function namespaceInHost(host: string): string | undefined {
  return /^[^.]+\.([^.]+)\.svc\./.exec(host)?.[1];
}
