import type { TrustSource } from './cluster-plan.ts';

/**
 * The machine's own trust anchors. Envoy compares names only where the anchors are named as a file; the path is Debian's, which
 * Envoy's images are made of.
 */
export function systemTrust(comparesNames: boolean): TrustSource {
  return comparesNames ? { type: 'file', path: '/etc/ssl/certs/ca-certificates.crt' } : { type: 'system' };
}
