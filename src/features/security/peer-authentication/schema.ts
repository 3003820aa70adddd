import type { PeerAuthenticationSpec } from '../../../../gen/crd/types/istio/peer-authentication.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { loopbackOnly } from '../../../kit/ip.ts';
import { compareText } from '../../../kit/maps.ts';
import { proxyNamespace } from '../../../plan/attributes.ts';
import { defineSlot } from '../../../plan/slot.ts';
import type { MeshConfig } from '../../../registry/mesh-config.ts';
import type { Endpoint } from '../../../registry/service.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export type PeerAuthentication = ConfigObject<PeerAuthenticationSpec>;
export type MtlsMode = MeshConfig['defaultMtlsMode'];

export const peerAuthenticationKind = configKind<PeerAuthenticationSpec>('PeerAuthentication');

/** Every PeerAuthentication, under ''. */
export const allPeerAuthentications = defineIndex('peer-authentications', peerAuthenticationKind, () => ['']);
const byNamespace = defineIndex('peer-authentications-by-namespace', peerAuthenticationKind, (_, key) => [
  key.slice(0, key.indexOf('/')),
]);

/** What one object says. */
export interface PeerPolicy {
  readonly name: string;
  readonly namespace: string;
  /** Labels of the workloads that it is for; {}: all of the namespace (of the mesh, in the root namespace). */
  readonly selector: Readonly<Record<string, string>>;
  /** undefined: inherited. */
  readonly mode?: MtlsMode;
  /** By workload port; inherited ones are left out. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
}

/** A mode and the field that chose it. */
export interface ModeChoice {
  readonly mode: MtlsMode;
  readonly origin: Origin;
}

/** What a workload demands of its callers. */
export interface MtlsDemand extends ModeChoice {
  /** Workload ports that differ from the rest. */
  readonly ports: Readonly<Record<string, ModeChoice>>;
}

/** The mode of a filter chain, where an object chose it. */
export const mtlsModeSlot = defineSlot<MtlsMode>('mtlsMode');

function modeOf(mtls: { readonly mode?: string } | undefined): MtlsMode | undefined {
  const mode = mtls?.mode;
  return mode === 'STRICT' || mode === 'PERMISSIVE' || mode === 'DISABLE' ? mode : undefined;
}

export function peerPolicy(object: PeerAuthentication): PeerPolicy {
  const { spec = {}, metadata } = object;
  const mode = modeOf(spec.mtls);
  const ports: Record<string, MtlsMode> = {};
  for (const [port, mtls] of Object.entries(spec.portLevelMtls ?? {})) {
    const own = modeOf(mtls);
    if (own) ports[port] = own;
  }
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    selector: spec.selector?.matchLabels ?? {},
    ...(mode ? { mode } : {}),
    ports,
  };
}

export function isForAll(policy: Pick<PeerPolicy, 'selector'>): boolean {
  return Object.keys(policy.selector).length === 0;
}

/** The policies of a namespace, oldest first: the first of its level counts. */
export const peerPoliciesIn = defineQuery(
  'peer-authentication.in-namespace',
  (view, namespace: Key): readonly PeerPolicy[] =>
    view
      .list(byNamespace, namespace)
      .flatMap((key) => view.get(peerAuthenticationKind, key) ?? [])
      .sort((a, b) => compareText(ageKey(a), ageKey(b)))
      .map(peerPolicy),
);

function ageKey({ metadata }: PeerAuthentication): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
}

const meshDefault: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'defaultMtlsMode' };

/**
 * Workload before namespace before mesh; what is unset is inherited; port settings belong to a workload's policy alone.
 * A selector in the root namespace selects nothing, as in Istio. `matches` tells whether a selector is the workload's.
 * @see https://istio.io/latest/docs/reference/config/security/peer_authentication/
 */
export function composeDemand(
  fallback: MtlsMode,
  root: readonly PeerPolicy[],
  own: readonly PeerPolicy[],
  matches: (selector: Readonly<Record<string, string>>) => boolean,
): MtlsDemand {
  let choice: ModeChoice = { mode: fallback, origin: meshDefault };
  const workload = own.find((policy) => !isForAll(policy) && matches(policy.selector));
  for (const policy of [root.find(isForAll), own.find(isForAll), workload])
    if (policy?.mode) choice = { mode: policy.mode, origin: originOfPolicy(policy, 'spec.mtls') };
  const ports: Record<string, ModeChoice> = {};
  for (const [port, mode] of Object.entries(workload?.ports ?? {}))
    if (workload) ports[port] = { mode, origin: originOfPolicy(workload, `spec.portLevelMtls.${port}`) };
  return { ...choice, ports };
}

export function originOfPolicy({ namespace, name }: PeerPolicy, path: string): Origin {
  return { kind: 'PeerAuthentication', namespace, name, path };
}

/**
 * What the asking proxy demands, as the text of an MtlsDemand: an argument for what depends on it. Without any object nothing of
 * the proxy is read.
 */
export const ownDemand = defineQuery('peer-authentication.own-demand', (view): Key => {
  const fallback = view.mesh('defaultMtlsMode');
  if (view.list(allPeerAuthentications, '').length === 0)
    return JSON.stringify(composeDemand(fallback, [], [], () => false));
  const rootNamespace = view.mesh('rootNamespace');
  const root = view.call(peerPoliciesIn, rootNamespace);
  const namespace = view.attribute(proxyNamespace);
  const own = namespace === rootNamespace ? [] : view.call(peerPoliciesIn, namespace);
  return JSON.stringify(composeDemand(fallback, root, own, (selector) => view.matches(selector)));
});

export function parseDemand(text: Key): MtlsDemand {
  return JSON.parse(text) as MtlsDemand;
}

export function demandOn(demand: MtlsDemand, port: number): ModeChoice {
  return demand.ports[String(port)] ?? demand;
}

/**
 * What an endpoint's workload demands of its callers. A loopback address is one of explicit capture, where the service port stands
 * for the workload's own: the port that is listened on is allocated and nobody writes it.
 */
export function endpointMode(view: View, endpoint: Endpoint): MtlsMode {
  const fallback = view.mesh('defaultMtlsMode');
  const rootNamespace = view.mesh('rootNamespace');
  const root = view.call(peerPoliciesIn, rootNamespace);
  const own = endpoint.namespace === rootNamespace ? [] : view.call(peerPoliciesIn, endpoint.namespace);
  if (root.length === 0 && own.length === 0) return fallback;
  const demand = composeDemand(fallback, root, own, (selector) =>
    Object.entries(selector).every(([name, value]) => endpoint.labels[name] === value),
  );
  const port = loopbackOnly(endpoint.address) ? endpoint.servicePort : endpoint.port;
  return demandOn(demand, port).mode;
}
