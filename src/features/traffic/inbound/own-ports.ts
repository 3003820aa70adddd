import { captureMode, proxyType } from '../../../plan/attributes.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { findPort } from '../../../plan/service-scope.ts';
import { sidecarFor } from '../../../plan/sidecar.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type IngressListener, ingressListeners } from '../sidecar/schema.ts';
import type { InboundPort } from './schema.ts';

/** A sidecar to which the kernel redirects traffic. */
export function isCaptured(view: View): boolean {
  return view.attribute(proxyType) === 'sidecar' && view.attribute(captureMode) !== 'explicit';
}

/** `#position|key` for an ingress listener of the workload's Sidecar, where it has any. */
const ingressPorts = defineQuery('inbound.ingress-ports', (view): readonly string[] => {
  const sidecar = view.call(sidecarFor);
  return view.call(ingressListeners, sidecar).map((_, position) => `#${position}|${sidecar}`);
});

/** The ingress listener behind an entry. */
export function ingressOf(view: View, entry: string): IngressListener | undefined {
  if (!entry.startsWith('#')) return undefined;
  const bar = entry.indexOf('|');
  return view.call(ingressListeners, entry.slice(bar + 1))[Number(entry.slice(1, bar))];
}

/** Whether a listener of a Sidecar listens at an address of its own, instead of taking what the kernel redirects. */
export function isBound(view: View, ingress: IngressListener): boolean {
  if (ingress.captureMode === 'NONE') return true;
  return ingress.captureMode === 'DEFAULT' && view.attribute(captureMode) === 'none';
}

/**
 * The application's own ports, one entry each: those of the workload's Sidecar if it names any, else of ownEndpoints, where the first
 * service that has a port decides its protocol.
 */
export const ownPorts = defineQuery('inbound.own-ports', (view): readonly string[] => {
  if (!isCaptured(view)) return [];
  const ingress = view.call(ingressPorts);
  if (ingress.length > 0) return ingress;
  const ports = new Map<number, string>();
  for (const entry of view.call(ownEndpoints)) {
    const { port } = splitOwnEndpoint(entry);
    if (!ports.has(port)) ports.set(port, entry);
  }
  return [...ports.entries()].sort(([a], [b]) => a - b).map(([, entry]) => entry);
});

/** Entries of ingress listeners that listen at an address of their own, in whatever way other traffic is captured. */
export const boundPorts = defineQuery('inbound.bound-ports', (view): readonly Key[] =>
  view.attribute(proxyType) === 'sidecar'
    ? view.call(ingressPorts).filter((entry) => {
        const ingress = ingressOf(view, entry);
        return ingress !== undefined && isBound(view, ingress);
      })
    : [],
);

export function inboundPort(view: View, entry: string): InboundPort | undefined {
  const ingress = ingressOf(view, entry);
  if (ingress) {
    const { port, protocol, tls, origin } = ingress;
    return { port, protocol, ...(tls ? { tls } : {}), origin };
  }
  const own = splitOwnEndpoint(entry);
  const service = view.get(serviceKind, own.service);
  const found = service && findPort(service, own.servicePort);
  return service && found
    ? { port: own.port, protocol: found.protocol, origin: service.origin, service }
    : undefined;
}
