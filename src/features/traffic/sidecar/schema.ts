/** The public face of the feature: what the inbound side of a proxy needs of its Sidecar. */
export { ingressFiles } from './file-secrets.ts';
export { type IngressListener, type IngressPool, ingressListeners, ingressPool } from './ingress.ts';
