import { splitKey } from '../../../config/object.ts';
import { compareText } from '../../../kit/maps.ts';
import { captureMode, inNamespace, proxyType } from '../../../plan/attributes.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { bindAddresses, boundServers, listenPorts } from '../gateway/schema.ts';
import { isOurs } from './classes.ts';
import { ageOrder, allGatewayApiGateways, gatewayKind, gatewayNameLabel } from './kinds.ts';
import { gatewayListeners, isServed, type Listener, listenerId } from './listeners.ts';
import { hostOf } from './services.ts';

/** What decides whether a proxy serves a Gateway. */
interface Binding {
  readonly order: string;
  /** Hosts of the Services that `spec.addresses` names: their workloads serve the Gateway. Empty: those with its name as a label. */
  readonly hosts: readonly string[];
}

const bindingOf = defineQuery('gateway-api.binding', (view, key: Key): Binding | undefined => {
  if (!view.call(isOurs, key)) return undefined;
  const gateway = view.get(gatewayKind, key);
  return gateway && { order: ageOrder(gateway), hosts: addressHosts(view, key) };
});

/** The Services that a Gateway names by `spec.addresses` as its own deployment, by full host names. */
export function addressHosts(view: View, key: Key): string[] {
  const { namespace } = splitKey(key);
  return (view.get(gatewayKind, key)?.spec?.addresses ?? []).flatMap(({ type, value }) =>
    (type === undefined || type === 'Hostname') && value
      ? [value.includes('.') ? value : hostOf(view, namespace, value)]
      : [],
  );
}

const ownHosts = defineQuery('gateway-api.own-hosts', (view): readonly string[] => {
  const hosts = view.call(ownEndpoints).map((entry) => splitKey(splitOwnEndpoint(entry).service).name);
  return [...new Set(hosts)].sort();
});

/** The Gateways that the asking proxy serves, oldest first. */
export const ownGateways = defineQuery('gateway-api.own', (view): readonly Key[] => {
  const all = view.list(allGatewayApiGateways, '').flatMap((key) => {
    const binding = view.call(bindingOf, key);
    return binding ? [{ key, ...binding }] : [];
  });
  if (all.length === 0 || view.attribute(proxyType) !== 'router') return [];
  return all
    .filter(({ key, hosts }) => {
      const { namespace, name } = splitKey(key);
      if (hosts.length > 0) return hosts.some((host) => view.call(ownHosts).includes(host));
      return view.matches({ [gatewayNameLabel]: name }) && view.attribute(inNamespace(namespace));
    })
    .sort((a, b) => compareText(a.order, b.order))
    .map(({ key }) => key);
});

/** One port on which the asking proxy listens, with the listeners of all its Gateways there. */
export interface BoundPort {
  readonly bind: string;
  /** Further addresses of the other IP family. */
  readonly others: readonly string[];
  /** Where the proxy listens. */
  readonly port: number;
  /** What the Gateways say. */
  readonly listenerPort: number;
  readonly gateways: readonly Key[];
  readonly allocated: boolean;
  readonly udp: boolean;
}

const servedPorts = defineQuery('gateway-api.served-ports', (view, gateway: Key): readonly string[] => [
  ...new Set(
    view
      .call(gatewayListeners, gateway)
      .filter(isServed)
      .map(({ port, protocol }) => `${port}/${protocol === 'UDP' ? 'udp' : 'tcp'}`),
  ),
]);

/** Every port of the asking proxy. One that an Istio Gateway has already is left to it: two listeners cannot share an address. */
export const boundPorts = defineQuery('gateway-api.ports', (view): readonly BoundPort[] => {
  const gateways = view.call(ownGateways);
  if (gateways.length === 0) return [];
  const explicit = view.attribute(captureMode) === 'explicit';
  const [bind, ...others] = bindAddresses(view);
  const taken = new Set(view.call(boundServers).map(({ port }) => port));
  const ports = new Map<string, BoundPort>();
  for (const gateway of gateways)
    for (const entry of view.call(servedPorts, gateway)) {
      const [listenerPort = '', transport] = entry.split('/');
      const udp = transport === 'udp';
      for (const port of listenPorts(
        view,
        Number(listenerPort),
        view.call(bindingOf, gateway)?.hosts ?? [],
      )) {
        if (!udp && taken.has(port)) continue;
        const id = `${port}/${transport}`;
        const known = ports.get(id);
        if (known && known.listenerPort !== Number(listenerPort)) continue;
        ports.set(id, {
          bind,
          others,
          port,
          listenerPort: Number(listenerPort),
          gateways: [...(known?.gateways ?? []), gateway],
          allocated: explicit,
          udp,
        });
      }
    }
  return [...ports.values()];
});

/** The served listeners of some Gateways on a port, in order of precedence. */
export function listenersOn(view: View, gateways: readonly Key[], port: number, udp = false): Listener[] {
  return gateways.flatMap((gateway) =>
    view
      .call(gatewayListeners, gateway)
      .filter((one) => one.port === port && isServed(one) && (one.protocol === 'UDP') === udp),
  );
}

/** Plain HTTP of a port is one route configuration; each HTTPS listener has its own, as its server names have a chain. */
export function routesName(port: number, listener: Listener): string {
  if (listener.protocol === 'HTTP') return `http.${port}`;
  const [, namespace, owner] = listener.owner.split('/');
  const suffix = listener.owner.startsWith('ListenerSet/') ? '.listenerset' : '';
  return `https.${listener.port}.${listener.name}.${owner}.${namespace}${suffix}`;
}

/** One route configuration of the asking proxy. */
export interface BoundRoutes extends BoundPort {
  readonly name: string;
  /** `owner#name` of the HTTPS listener; '' for the plain HTTP of the port. */
  readonly listener: string;
}

export const boundRoutes = defineQuery('gateway-api.route-names', (view): readonly BoundRoutes[] =>
  view.call(boundPorts).flatMap((port) => {
    if (port.udp) return [];
    const found = new Map<string, BoundRoutes>();
    for (const listener of listenersOn(view, port.gateways, port.listenerPort)) {
      if (listener.protocol !== 'HTTP' && listener.protocol !== 'HTTPS') continue;
      const name = routesName(port.port, listener);
      const id = listener.protocol === 'HTTP' ? '' : listenerId(listener);
      if (!found.has(name)) found.set(name, { ...port, name, listener: id });
    }
    return [...found.values()];
  }),
);
