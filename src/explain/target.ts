import { parseIp } from '../kit/ip.ts';
import type { Model } from '../model/model.ts';
import type { MeshService } from '../registry/service.ts';
import {
  allServices,
  endpointsByAddress,
  endpointsKind,
  serviceKind,
  servicesByHost,
} from '../snapshot/kinds.ts';
import type { Unanswerable } from './unanswerable.ts';

/** A URL, taken apart. */
export interface TargetUrl {
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls';
  readonly host: string;
  readonly port: number;
  /** The Host that an HTTP client sends. */
  readonly authority: string;
  /** With query. */
  readonly path: string;
  /** Spoken by HTTP/2 from the start. */
  readonly http2: boolean;
}

const schemes: Readonly<Record<string, { scheme: TargetUrl['scheme']; port?: number; http2?: true }>> = {
  http: { scheme: 'http', port: 80 },
  https: { scheme: 'https', port: 443 },
  grpc: { scheme: 'http', port: 80, http2: true },
  grpcs: { scheme: 'https', port: 443, http2: true },
  tcp: { scheme: 'tcp' },
  tls: { scheme: 'tls', port: 443 },
};

export function parseTarget(
  url: string,
): { readonly ok: true; readonly value: TargetUrl } | { readonly ok: false; readonly error: Unanswerable } {
  const invalid = (why: string) => ({
    ok: false as const,
    error: { code: 'UrlInvalid' as const, message: `${url} cannot be called: ${why}` },
  });
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(\[[^\]]*\]|[^/?#:]*)(?::(\d+))?([/?#].*)?$/i.exec(url);
  if (!match) return invalid('it is no URL, such as http://reviews:9080/reviews/0');
  const [, word = 'http', bracketed = '', digits, rest = ''] = match;
  const known = schemes[word.toLowerCase()];
  if (!known) return invalid(`the scheme can be ${Object.keys(schemes).join(', ')}`);
  const host = bracketed.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === '') return invalid('it names no host');
  const port = digits === undefined ? known.port : Number(digits);
  if (port === undefined)
    return invalid(`${known.scheme} has no port of its own: name one, as in tcp://${host}:6379`);
  if (port < 1 || port > 65_535) return invalid(`a port is a number from 1 to 65535, not ${port}`);
  const path = rest.split('#')[0] ?? '';
  return {
    ok: true,
    value: {
      scheme: known.scheme,
      host,
      port,
      authority: digits === undefined ? bracketed : `${bracketed}:${digits}`,
      path: path.startsWith('/') ? path : `/${path}`,
      http2: known.http2 === true,
    },
  };
}

/** What a host means to a workload. */
export interface Target {
  /** The service of that name or address. */
  readonly service?: MeshService;
  /** Where the connection goes to before the proxy takes it. */
  readonly address: string;
  /** How the address came about, where it is not one that was given. */
  readonly looked: 'address' | 'service' | 'outside';
}

/** Reserved for documentation (RFC 5737): stands for whatever a name outside resolves to. */
export const somewhere = '203.0.113.1';

/** Looks a host up as the workload's resolver would: its own namespace first, then full names, then names outside. */
export function resolveTarget(model: Model, host: string, namespace: string): Target {
  const ip = parseIp(host);
  if (ip) {
    const service = serviceAt(model, host);
    return { address: host, looked: 'address', ...(service ? { service } : {}) };
  }
  const service = serviceNamed(model, host, namespace);
  if (!service) return { address: somewhere, looked: 'outside' };
  return { service, address: addressOf(model, service), looked: 'service' };
}

function serviceNamed(model: Model, host: string, namespace: string): MeshService | undefined {
  const { domainSuffix } = model.mesh;
  const parts = host.split('.').length;
  const names = [
    host,
    ...(parts === 1 ? [`${host}.${namespace}.svc.${domainSuffix}`] : []),
    ...(parts === 2 ? [`${host}.svc.${domainSuffix}`] : []),
    ...(parts === 3 && host.endsWith('.svc') ? [`${host}.${domainSuffix}`] : []),
  ];
  const { world } = model;
  for (const name of names) {
    const keys = world.list(servicesByHost, name);
    const key = keys.find((candidate) => candidate.startsWith(`${namespace}/`)) ?? keys[0];
    if (key !== undefined) return world.get(serviceKind, key);
  }
  return undefined;
}

function serviceAt({ world }: Model, address: string): MeshService | undefined {
  for (const key of world.list(allServices, '')) {
    const service = world.get(serviceKind, key);
    if (service?.addresses.includes(address)) return service;
  }
  const [key] = world.list(endpointsByAddress, address);
  return key === undefined ? undefined : world.get(serviceKind, key);
}

function addressOf({ world }: Model, service: MeshService): string {
  const [first] = service.addresses;
  if (first !== undefined) return first;
  if (service.source !== 'kubernetes') return somewhere;
  // The name of a headless service is the addresses of its endpoints.
  const endpoints = world.get(endpointsKind, `${service.namespace}/${service.hostname}`)?.endpoints ?? [];
  return endpoints.find(({ healthy }) => healthy)?.address ?? somewhere;
}
