import type { SidecarEgress, SidecarSpec } from '../../gen/crd/types/istio/sidecar.ts';
import type { ConfigObject } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import { compareText } from '../kit/maps.ts';
import type { OutboundMode } from '../registry/mesh-config.ts';
import { selectorId } from '../snapshot/attribute.ts';
import { configKind } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';
import { inNamespace, proxyNamespace, proxyType } from './attributes.ts';
import { hostCovers, hostsOverlap, isWildcard, resolveHost } from './hosts.ts';
import { blackHoleCluster, outboundCluster, passthroughCluster } from './names.ts';

export type Sidecar = ConfigObject<SidecarSpec>;

export const sidecarKind = configKind<SidecarSpec>('Sidecar');

/** Every Sidecar, under ''. */
const allSidecars = defineIndex('sidecars', sidecarKind, () => ['']);

export function sidecarNamespace(sidecar: Sidecar): string {
  return sidecar.metadata.namespace ?? 'default';
}

export function sidecarOrigin(sidecar: Sidecar, path: string): Origin {
  return { kind: 'Sidecar', namespace: sidecarNamespace(sidecar), name: sidecar.metadata.name, path };
}

interface SidecarFacts {
  readonly key: Key;
  readonly namespace: string;
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Oldest first. */
  readonly order: string;
  /** Some host means the namespace of the proxy. */
  readonly relative: boolean;
}

/** What the choice needs; changes of listeners stop here. */
const sidecarFacts = defineQuery('sidecar.facts', (view, key: Key): SidecarFacts | undefined => {
  const sidecar = view.get(sidecarKind, key);
  return sidecar
    ? {
        key,
        namespace: sidecarNamespace(sidecar),
        selector: sidecar.spec?.workloadSelector ? (sidecar.spec.workloadSelector.labels ?? {}) : undefined,
        order: `${sidecar.metadata.creationTimestamp ?? ''} ${key}`,
        relative: (sidecar.spec?.egress ?? []).some(({ hosts }) =>
          hosts.some((host) => /^~?\.\//.test(host)),
        ),
      }
    : undefined;
});

/**
 * The Sidecar of the asking proxy, '' for none: of its namespace the oldest that selects the workload, then the oldest for
 * all of it, then the root namespace's for everybody. A mesh without any reads nothing of the proxy.
 */
export const sidecarFor = defineQuery('sidecar.for', (view): Key => {
  const keys = view.list(allSidecars, '');
  if (keys.length === 0) return '';
  const type = view.attribute(proxyType);
  if (type !== 'sidecar' && type !== 'grpc') return '';
  const all = keys
    .flatMap((key) => view.call(sidecarFacts, key) ?? [])
    .sort((a, b) => compareText(a.order, b.order));
  const own = all.filter(({ namespace }) => view.attribute(inNamespace(namespace)));
  const root = view.mesh('rootNamespace');
  const found =
    own.find(({ selector }) => selector && view.matches(selector)) ??
    own.find(({ selector }) => !selector) ??
    all.find(({ namespace, selector }) => namespace === root && !selector);
  return found?.key ?? '';
});

/** The older Sidecar for exactly the same workloads, if there is one: it alone counts. */
export function olderTwin(view: View, sidecar: Sidecar): Key | undefined {
  const own = view.call(sidecarFacts, `${sidecarNamespace(sidecar)}/${sidecar.metadata.name}`);
  const [oldest] = view
    .list(allSidecars, '')
    .flatMap((key) => view.call(sidecarFacts, key) ?? [])
    .filter(
      ({ namespace, selector }) => namespace === own?.namespace && isEqualSelector(selector, own.selector),
    )
    .sort((a, b) => compareText(a.order, b.order));
  return oldest && oldest.key !== own?.key ? oldest.key : undefined;
}

function isEqualSelector(a: SidecarFacts['selector'], b: SidecarFacts['selector']): boolean {
  return a && b ? selectorId(a) === selectorId(b) : a === b;
}

/**
 * What bounds the asking proxy's view of the mesh: '' for nothing, else its Sidecar, with the namespace that `./` stands for where
 * that differs from proxy to proxy (`key@namespace`). Proxies of one scope share everything made from it.
 */
export const scopeOf = defineQuery('sidecar.scope', (view): Key => {
  const key = view.call(sidecarFor);
  if (key === '' || !view.call(sidecarFacts, key)?.relative) return key;
  return `${key}@${view.attribute(proxyNamespace)}`;
});

function splitScope(scope: Key): { readonly key: Key; readonly namespace: string } {
  const at = scope.indexOf('@');
  return at < 0 ? { key: scope, namespace: '' } : { key: scope.slice(0, at), namespace: scope.slice(at + 1) };
}

/** The object behind a scope. */
export function sidecarOf(view: View, scope: Key): Sidecar | undefined {
  return scope === '' ? undefined : view.get(sidecarKind, splitScope(scope).key);
}

interface HostImport {
  /** `*`: every namespace. */
  readonly namespace: string;
  readonly host: string;
}

/** One egress listener of a Sidecar, or the one that stands for none: everything, on every port. */
export interface EgressListener {
  /** Position in the object; -1: not written. */
  readonly index: number;
  /** Absent: every port that no other listener has. */
  readonly port?: number;
  /** Services must have the port: not for sockets without a number, nor for HTTP proxies. */
  readonly matchPort: boolean;
  /** As written, upper case; '' where nothing is said. */
  readonly protocol: string;
  /** An IP or `unix:///path`; '' for the default. */
  readonly bind: string;
  readonly captureMode: 'DEFAULT' | 'IPTABLES' | 'NONE';
  readonly imports: readonly HostImport[];
  readonly excluded: readonly HostImport[];
}

const everything: EgressListener = {
  index: -1,
  matchPort: false,
  protocol: '',
  bind: '',
  captureMode: 'DEFAULT',
  imports: [{ namespace: '*', host: '*' }],
  excluded: [],
};

/** The egress listeners of a scope, in the order of the object. */
export const egressListeners = defineQuery(
  'sidecar.egress',
  (view, scope: Key): readonly EgressListener[] => {
    const { namespace } = splitScope(scope);
    const sidecar = sidecarOf(view, scope);
    const egress = sidecar?.spec?.egress ?? [];
    if (!sidecar || egress.length === 0) return [everything];
    return egress.map((listener, index) => readEgress(listener, index, namespace));
  },
);

function readEgress(listener: SidecarEgress, index: number, namespace: string): EgressListener {
  const { port, bind = '', captureMode = 'DEFAULT' } = listener;
  const protocol = (port?.protocol ?? '').toUpperCase().replaceAll('-', '_');
  const imports: HostImport[] = [];
  const excluded: HostImport[] = [];
  for (const text of listener.hosts) {
    const slash = text.indexOf('/');
    const [written, host] = [text.slice(0, slash), text.slice(slash + 1)];
    const place = (name: string): HostImport => ({ namespace: name === '.' ? namespace : name, host });
    if (!written.startsWith('~')) imports.push(place(written));
    else if (written !== '~') excluded.push(place(written.slice(1)));
  }
  // Nothing but exceptions: from everything.
  if (imports.length === 0 && excluded.length > 0 && excluded.length === listener.hosts.length)
    imports.push({ namespace: '*', host: '*' });
  return {
    index,
    ...(port?.number ? { port: port.number } : {}),
    matchPort: Boolean(port?.number) && protocol !== 'HTTP_PROXY',
    protocol,
    bind,
    captureMode,
    imports,
    excluded,
  };
}

/** Whether a listener lets a service in. */
export function importsService(listener: EgressListener, namespace: string, host: string): boolean {
  const names = (entry: HostImport): boolean =>
    (entry.namespace === '*' || entry.namespace === namespace) && hostCovers(entry.host, host);
  return listener.imports.some(names) && !listener.excluded.some(names);
}

/** Whether a listener lets a virtual service in: one of its hosts is imported, or a wildcard on either side reaches the other. */
export function importsVirtualService(
  listener: EgressListener,
  namespace: string,
  hosts: readonly string[],
): boolean {
  const inPlace = (entry: HostImport): boolean => entry.namespace === '*' || entry.namespace === namespace;
  return hosts.some(
    (host) =>
      listener.imports.some((entry) => inPlace(entry) && hostsOverlap(entry.host, host)) &&
      !listener.excluded.some((entry) => inPlace(entry) && hostCovers(entry.host, host)),
  );
}

/** Whether the listener is found by its own address or socket rather than by its port's number. */
export function hasOwnTable(listener: EgressListener): boolean {
  return listener.protocol === 'HTTP_PROXY' || listener.bind.startsWith('unix://');
}

/** The position of the listener that is in charge of a port: the one with its number, else the one without any; -1 for none. */
export function listenerOfPort(listeners: readonly EgressListener[], port: number): number {
  const exact = listeners.findIndex((listener) => listener.port === port && !hasOwnTable(listener));
  if (exact >= 0) return exact;
  return listeners.findIndex((listener) => listener.port === undefined && !hasOwnTable(listener));
}

export interface OutboundPolicy {
  readonly mode: OutboundMode;
  /** Takes what nobody configured, in place of passing it through. */
  readonly proxy?: { readonly host: string; readonly port: number; readonly subset: string };
  readonly origin: Origin;
}

/** The cluster that takes connections to what nobody configured. */
export function unknownCluster({ mode, proxy }: OutboundPolicy): string {
  if (mode === 'REGISTRY_ONLY') return blackHoleCluster;
  return proxy ? outboundCluster(proxy.port, proxy.subset, proxy.host) : passthroughCluster;
}

/** What happens to traffic for hosts that nobody configured. */
export const outboundPolicy = defineQuery('sidecar.outbound-policy', (view): OutboundPolicy => {
  const scope = view.call(scopeOf);
  const sidecar = sidecarOf(view, scope);
  const policy = sidecar?.spec?.outboundTrafficPolicy;
  if (!sidecar || !policy)
    return {
      mode: view.mesh('outboundTrafficPolicy'),
      origin: { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'outboundTrafficPolicy' },
    };
  const { mode = 'REGISTRY_ONLY', egressProxy } = policy;
  return {
    mode,
    ...(egressProxy && mode === 'ALLOW_ANY' && !isWildcard(egressProxy.host)
      ? {
          proxy: {
            host: resolveHost(egressProxy.host, sidecarNamespace(sidecar), view.mesh('domainSuffix')),
            port: egressProxy.port?.number ?? 0,
            subset: egressProxy.subset ?? '',
          },
        }
      : {}),
    origin: sidecarOrigin(sidecar, 'spec.outboundTrafficPolicy'),
  };
});
