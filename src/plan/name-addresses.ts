import { parseIp } from '../kit/ip.ts';
import { endpointsKind, serviceKind } from '../snapshot/kinds.ts';
import type { View } from '../snapshot/view.ts';
import { meantHosts } from './authority.ts';
import { addressesFor, serviceFor } from './service-scope.ts';

/**
 * The addresses by which the application beside the asking proxy reaches a name: virtual addresses, or of a headless service those of
 * its ready endpoints. Undefined: the mesh does not answer for the name, since nothing is called so, or since its own addresses (resolution
 * `NONE`, names that are resolved elsewhere and have no virtual address) are what must be called.
 */
export function nameAddresses(view: View, name: string): readonly string[] | undefined {
  for (const host of meantHosts(view, name)) {
    const key = view.call(serviceFor, host);
    const service = key === '' ? undefined : view.get(serviceKind, key);
    if (!service) continue;
    const virtual = addressesFor(view, service).filter((address) => parseIp(address) !== undefined);
    if (virtual.length > 0) return virtual;
    if (service.source !== 'kubernetes' || service.resolution !== 'passthrough') return undefined;
    const { endpoints = [] } = view.get(endpointsKind, key) ?? {};
    const ready = endpoints.filter(({ healthy }) => healthy || service.publishNotReady);
    const all = ready.flatMap(({ address, additionalAddresses = [] }) => [address, ...additionalAddresses]);
    return [...new Set(all)].filter((address) => parseIp(address) !== undefined);
  }
  return undefined;
}
