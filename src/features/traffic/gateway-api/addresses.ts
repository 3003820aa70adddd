import { splitKey } from '../../../config/object.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { addressHosts } from './bound.ts';
import { gatewayKind } from './kinds.ts';
import { gatewayListeners } from './listeners.ts';
import type { Fault } from './references.ts';
import {
  hasPort,
  hostOf,
  type ServiceFacts,
  serviceByKey,
  serviceOf,
  servicesByGateway,
} from './services.ts';

export interface Address {
  readonly type: 'IPAddress' | 'Hostname';
  readonly value: string;
}

/** Where a Gateway can be reached, and what is missing to it. */
export interface GatewayAddresses {
  readonly addresses: readonly Address[];
  /** `host:port` of the Services that lead to it. */
  readonly services: readonly string[];
  readonly error?: Fault;
}

const serviceObjectKind = configKind<{ readonly externalIPs?: readonly string[] }>('Service');

export const gatewayAddresses = defineQuery(
  'gateway-api.addresses',
  (view, gateway: Key): GatewayAddresses => {
    const object = view.get(gatewayKind, gateway);
    const unknown = (object?.spec?.addresses ?? []).filter(
      ({ type }) => type !== undefined && type !== 'Hostname' && type !== 'IPAddress',
    );
    if (unknown.length > 0)
      return {
        addresses: [],
        services: [],
        error: {
          reason: 'UnsupportedAddress',
          message: `addresses of type ${unknown.map(({ type }) => type).join(', ')} cannot be had: name a Service by type Hostname`,
        },
      };
    const addresses: Address[] = [];
    const services: string[] = [];
    const problems: string[] = [];
    const ports = [
      ...new Set(
        view
          .call(gatewayListeners, gateway)
          .filter(isWanted)
          .map(({ port }) => port),
      ),
    ];
    for (const service of ownServices(view, gateway, problems)) {
      const missing = ports.filter((port) => !hasPort(service.facts, port));
      if (missing.length > 0) problems.push(`${missingPorts(missing, service.facts)}`);
      if (missing.length === ports.length && ports.length > 0) continue;
      addresses.push(...addressesOf(view, service));
      services.push(
        ...ports.filter((port) => !missing.includes(port)).map((port) => `${service.facts.host}:${port}`),
      );
    }
    return {
      addresses,
      services,
      ...(problems.length > 0 ? { error: { reason: 'AddressNotUsable', message: problems.join('; ') } } : {}),
    };
  },
);

function isWanted({ conflict, notAccepted }: { conflict?: unknown; notAccepted?: unknown }): boolean {
  return !conflict && !notAccepted;
}

interface OwnService {
  readonly namespace: string;
  readonly name: string;
  readonly facts: ServiceFacts;
}

/** The Services that lead to a Gateway's workloads: those it names, those labelled with it, or the one that is named for it. */
function ownServices(view: View, gateway: Key, problems: string[]): OwnService[] {
  const { namespace, name } = splitKey(gateway);
  const found: OwnService[] = [];
  const add = (facts: ServiceFacts | undefined, host: string): void => {
    const [short = '', owner = ''] = host.split('.');
    if (facts) found.push({ namespace: owner, name: short, facts });
    else problems.push(`there is no Service ${host}`);
  };
  const named = addressHosts(view, gateway);
  for (const host of named) {
    const [short = '', owner = ''] = host.split('.');
    add(host === hostOf(view, owner, short) ? serviceOf(view, owner, short) : undefined, host);
  }
  if (named.length > 0) return found;
  for (const key of view.list(servicesByGateway, gateway)) {
    const facts = serviceByKey(view, key);
    if (facts) add(facts, facts.host);
  }
  if (found.length > 0) return found;
  const className = view.get(gatewayKind, gateway)?.spec?.gatewayClassName ?? '';
  const automatic = `${name}-${className}`;
  add(serviceOf(view, namespace, automatic), hostOf(view, namespace, automatic));
  return found;
}

function missingPorts(missing: readonly number[], facts: ServiceFacts): string {
  return `${facts.host} has no port ${missing.join(', ')}; it has ${facts.ports.map(({ port }) => port).join(', ')}`;
}

interface LoadBalancer {
  readonly loadBalancer?: { readonly ingress?: readonly { ip?: string; hostname?: string }[] };
}

/** A load balancer's addresses, else external ones, else the name inside the mesh. */
function addressesOf(view: View, { namespace, name, facts }: OwnService): Address[] {
  const object = view.get(serviceObjectKind, `${namespace}/${name}`);
  const ingress = (object?.status as LoadBalancer | undefined)?.loadBalancer?.ingress ?? [];
  const outside = [
    ...ingress.map(
      ({ ip, hostname }): Address =>
        ip ? { type: 'IPAddress', value: ip } : { type: 'Hostname', value: hostname ?? '' },
    ),
    ...(object?.spec?.externalIPs ?? []).map((value): Address => ({ type: 'IPAddress', value })),
  ].filter(({ value }) => value !== '');
  return outside.length > 0 ? outside : [{ type: 'Hostname', value: facts.host }];
}
