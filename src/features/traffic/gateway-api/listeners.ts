import type { GatewayListeners } from '../../../../gen/crd/types/gateway-api/gateway.ts';
import { compareText } from '../../../kit/maps.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { isOurs } from './classes.ts';
import { type FrontendTrust, frontendTrust } from './frontend-tls.ts';
import {
  ageOrder,
  gatewayKind,
  group,
  type ListenerSet,
  listenerSetKind,
  namespaceOf,
  type ParentId,
  type RouteKind,
  splitId,
} from './kinds.ts';
import { type AllowedNamespaces, namespaceAllowed } from './namespaces.ts';
import { type Fault, resolveCertificate } from './references.ts';

/** One listener of a Gateway or of a ListenerSet on it. */
export interface Listener {
  /** `Gateway/namespace/name` or `ListenerSet/namespace/name`. */
  readonly owner: ParentId;
  readonly index: number;
  readonly name: string;
  readonly port: number;
  readonly protocol: 'HTTP' | 'HTTPS' | 'TLS' | 'TCP' | 'UDP' | 'unsupported';
  /** '' takes every name. */
  readonly hostname: string;
  readonly passthrough: boolean;
  /** Route kinds that it takes. */
  readonly kinds: readonly RouteKind[];
  readonly namespaces: AllowedNamespaces;
  /** `namespace/name` of the Secrets with its certificates. */
  readonly certificates: readonly Key[];
  readonly options: Readonly<Record<string, string>>;
  readonly frontend?: FrontendTrust;
  /** Why it is not served. */
  readonly notAccepted?: Fault;
  readonly conflict?: Fault;
  /** References or kinds that it names in vain; with `broken` it is not served. */
  readonly unresolved?: Fault;
  readonly broken: boolean;
  /** It opens a port for TLS and has no TLS of its own: what other listeners, of ListenerSets say, bring to the port is served there. */
  readonly placeholder: boolean;
}

/** `owner#name` */
export function listenerId({ owner, name }: Pick<Listener, 'owner' | 'name'>): string {
  return `${owner}#${name}`;
}

export function isServed(listener: Listener): boolean {
  return !listener.notAccepted && !listener.conflict && !listener.broken;
}

/** How TLS ends, where Gateways have no word for it: MUTUAL, OPTIONAL_MUTUAL, ISTIO_SIMPLE or ISTIO_MUTUAL. */
export const tlsModeOption = 'gateway.istio.io/tls-terminate-mode';

const kindsByProtocol: Readonly<Record<string, readonly RouteKind[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
  UDP: ['UDPRoute'],
};

/** The listeners that an object itself declares; conflicts with others are seen by `gatewayListeners`. */
const ownListeners = defineQuery('gateway-api.own-listeners', (view, owner: Key): readonly Listener[] => {
  const { kind, key } = splitId(owner);
  const object = kind === 'Gateway' ? view.get(gatewayKind, key) : view.get(listenerSetKind, key);
  return (object?.spec?.listeners ?? []).map((listener, index) => resolve(view, owner, listener, index));
});

function resolve(view: View, owner: ParentId, written: GatewayListeners, index: number): Listener {
  const { kind, namespace } = splitId(owner);
  const { protocol, tls } = written;
  const known = kindsByProtocol[protocol];
  const { kinds, unknown } = routeKindsOf(written, known ?? []);
  const secured = protocol === 'HTTPS' || protocol === 'TLS';
  const passthrough = secured && tls?.mode === 'Passthrough';
  const certificates = (secured && !passthrough ? (tls?.certificateRefs ?? []) : []).map((ref) =>
    resolveCertificate(view, { kind, namespace }, ref, 'InvalidCertificateRef'),
  );
  const found = certificates.flatMap((certificate) => (certificate.ok ? [certificate.value] : []));
  const bad = certificates.find((certificate) => !certificate.ok);
  const frontend =
    secured && !passthrough && kind === 'Gateway'
      ? frontendTrust(view, namespace, `${namespace}/${splitId(owner).name}`, written.port)
      : undefined;
  const unresolved =
    unknown ?? (bad?.ok === false ? { reason: bad.reason, message: bad.message } : frontend?.unresolved);
  return {
    owner,
    index,
    name: written.name,
    port: written.port,
    protocol: known ? (protocol as Listener['protocol']) : 'unsupported',
    hostname: (written.hostname ?? '').toLowerCase(),
    passthrough,
    kinds,
    namespaces: written.allowedRoutes?.namespaces ?? {},
    certificates: found,
    options: tls?.options ?? {},
    ...(frontend ? { frontend } : {}),
    ...notAccepted(written, frontend),
    ...(unresolved ? { unresolved } : {}),
    placeholder: secured && tls === undefined,
    broken:
      (secured && !passthrough && found.length === 0 && !meshCertificate(tls?.options)) ||
      frontend?.broken === true,
  };
}

/** Istio's word for listeners that show the workload's own certificate. */
function meshCertificate(options: Readonly<Record<string, string>> | undefined): boolean {
  return options?.[tlsModeOption]?.startsWith('ISTIO_') === true;
}

function notAccepted(
  { protocol, tls }: GatewayListeners,
  frontend: FrontendTrust | undefined,
): { notAccepted?: Fault } {
  if (!kindsByProtocol[protocol]) {
    const upper = kindsByProtocol[protocol.toUpperCase()] ? `; ${protocol.toUpperCase()} is` : '';
    return {
      notAccepted: {
        reason: 'UnsupportedProtocol',
        message: `protocol ${JSON.stringify(protocol)} is not supported${upper}`,
      },
    };
  }
  if (protocol === 'HTTPS' && tls?.mode === 'Passthrough')
    return {
      notAccepted: {
        reason: 'UnsupportedValue',
        message: 'TLS that passes through hides its HTTP: use protocol TLS with TLSRoutes',
      },
    };
  return frontend?.broken
    ? {
        notAccepted: {
          reason: 'NoValidCACertificate',
          message: frontend.unresolved?.message ?? 'no valid certificate authority',
        },
      }
    : {};
}

/** `allowedRoutes.kinds` as far as the protocol can have them. */
function routeKindsOf(
  listener: GatewayListeners,
  possible: readonly RouteKind[],
): { kinds: readonly RouteKind[]; unknown?: Fault } {
  const wanted = listener.allowedRoutes?.kinds ?? [];
  if (wanted.length === 0) return { kinds: possible };
  const isPossible = (kind: { group?: string; kind: string }): boolean =>
    (kind.group ?? group) === group && possible.includes(kind.kind as RouteKind);
  const kinds = wanted.filter(isPossible).map(({ kind }) => kind as RouteKind);
  const bad = wanted.find((kind) => !isPossible(kind));
  return {
    kinds: [...new Set(kinds)],
    ...(bad
      ? {
          unknown: {
            reason: 'InvalidRouteKinds',
            message: `routes of kind ${bad.kind} cannot be attached to a listener of protocol ${listener.protocol}`,
          },
        }
      : {}),
  };
}

/** `namespace/name` of a Gateway → ListenerSets that name it. */
const setsByGateway = defineIndex('gateway-api-sets-by-gateway', listenerSetKind, (set) => [
  gatewayOfSet(set),
]);

export function gatewayOfSet(set: ListenerSet): Key {
  const { group: parentGroup = group, kind = 'Gateway', namespace, name = '' } = set.spec?.parentRef ?? {};
  // Nothing else has listeners that could be added to.
  if (parentGroup !== group || kind !== 'Gateway') return '';
  return `${namespace ?? namespaceOf(set)}/${name}`;
}

/** Whether the Gateway lets the ListenerSet add to it. */
export const isSetAllowed = defineQuery('gateway-api.set-allowed', (view, set: Key): boolean => {
  const object = view.get(listenerSetKind, set);
  if (!object) return false;
  const gateway = view.get(gatewayKind, gatewayOfSet(object));
  return (
    gateway !== undefined &&
    namespaceAllowed(
      view,
      gateway.spec?.allowedListeners?.namespaces,
      'None',
      namespaceOf(gateway),
      namespaceOf(object),
    )
  );
});

/** The ListenerSets that add to a Gateway, oldest first. */
const allowedSets = defineQuery('gateway-api.allowed-sets', (view, gateway: Key): readonly Key[] =>
  view
    .list(setsByGateway, gateway)
    .flatMap((key) => {
      const object = view.get(listenerSetKind, key);
      return object && view.call(isSetAllowed, key) ? [{ key, order: ageOrder(object) }] : [];
    })
    .sort((a, b) => compareText(a.order, b.order))
    .map(({ key }) => key),
);

/** Every listener of a Gateway of ours, in order of precedence: its own, then those of its ListenerSets. */
export const gatewayListeners = defineQuery(
  'gateway-api.listeners',
  (view, gateway: Key): readonly Listener[] => {
    if (!view.call(isOurs, gateway)) return [];
    const all = [
      ...view.call(ownListeners, `Gateway/${gateway}`),
      ...view.call(allowedSets, gateway).flatMap((set) => view.call(ownListeners, `ListenerSet/${set}`)),
    ];
    const kept: Listener[] = [];
    return all.map((listener) => {
      const conflict = listener.notAccepted ? undefined : conflictWith(kept, listener);
      if (conflict) return { ...listener, conflict };
      if (!listener.notAccepted) kept.push(listener);
      return listener;
    });
  },
);

/** What can share a port: plain HTTP; whatever has a server name; nothing with raw TCP; UDP has ports of its own. */
function family({ protocol }: Listener): string {
  return protocol === 'HTTPS' ? 'TLS' : protocol;
}

/** A listener that an earlier one of the same port makes impossible. */
function conflictWith(earlier: readonly Listener[], listener: Listener): Fault | undefined {
  const onPort = earlier.filter(
    (other) => other.port === listener.port && (other.protocol === 'UDP') === (listener.protocol === 'UDP'),
  );
  const other = onPort.find((one) => family(one) !== family(listener));
  if (other)
    return {
      reason: 'ProtocolConflict',
      message: `port ${listener.port} speaks ${other.protocol} already, by listener ${other.name} of ${other.owner}`,
    };
  const same = onPort.find((one) => one.hostname === listener.hostname);
  if (!same) return undefined;
  const what = listener.hostname === '' ? 'every host name' : `host name ${listener.hostname}`;
  return {
    reason: 'HostnameConflict',
    message: `${what} on port ${listener.port} belongs to listener ${same.name} of ${same.owner} already`,
  };
}
