import type { Origin } from '../../../config/origin.ts';
import { proxyType } from '../../../plan/attributes.ts';
import {
  type CertificateSource,
  type ClusterPlan,
  slowWarmingSlot,
  type TrustSource,
  type UpstreamTls,
} from '../../../plan/cluster-plan.ts';
import { fill } from '../../../plan/slot.ts';
import { systemAnchors } from '../../../plan/system-trust.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { tlsFiles } from './file-secrets.ts';
import type { TrafficPolicy } from './policy.ts';
import { meshTlsNamesSlot, selectsWorkloads, tlsChoiceSlot } from './rules.ts';

type TlsSettings = NonNullable<TrafficPolicy['tls']>;

/**
 * Secrets go to gateways, and to the sidecars that a rule selects: any other sidecar of the namespace would learn a key that
 * nobody meant for it, and uses the files that the rule names.
 */
export function withCredential(view: View, rules: string, tls: TlsSettings): TlsSettings {
  if (!tls.credentialName) return tls;
  if (view.attribute(proxyType) === 'router' || view.call(selectsWorkloads, rules)) return tls;
  const { credentialName: _, ...files } = tls;
  return files;
}

export function planTls(view: View, plan: ClusterPlan, tls: TlsSettings, origin: Origin): void {
  const mode = tls.mode ?? 'DISABLE';
  if (mode === 'DISABLE') fill(plan, tlsChoiceSlot, 'none', origin);
  else if (mode === 'ISTIO_MUTUAL') {
    fill(plan, tlsChoiceSlot, 'mesh', origin);
    const names = { sni: tls.sni ?? '', identities: tls.subjectAltNames ?? [] };
    if (names.sni !== '' || names.identities.length > 0) fill(plan, meshTlsNamesSlot, names, origin);
  } else {
    fill(plan, tlsChoiceSlot, 'origination', origin);
    const made = origination(tls, mode, namesOf(view, plan, tls));
    const { client, trust } = made;
    plan.tls = made;
    if (client?.type === 'secret' || trust?.type === 'secret') fill(plan, slowWarmingSlot, true, origin);
  }
}

/** Names that the server's certificate may have: the rule's, else those of the service itself. */
function namesOf(view: View, { service }: ClusterPlan, { subjectAltNames }: TlsSettings): readonly string[] {
  if (subjectAltNames?.length || !service) return subjectAltNames ?? [];
  return view.get(serviceKind, `${service.namespace}/${service.hostname}`)?.subjectAltNames ?? [];
}

type Origination = UpstreamTls & { readonly type: 'origination' };

function origination(
  tls: TlsSettings,
  mode: 'SIMPLE' | 'MUTUAL',
  subjectAltNames: readonly string[],
): Origination {
  const client = mode === 'MUTUAL' ? clientOf(tls) : undefined;
  const trust = tls.insecureSkipVerify ? undefined : trustOf(tls, subjectAltNames);
  return {
    type: 'origination',
    sni: tls.sni ?? '',
    // A gateway may send HTTP to a port that is called HTTPS; connections of bytes have no Host to take it from.
    autoSni: !tls.sni,
    subjectAltNames,
    ...(client ? { client } : {}),
    ...(trust ? { trust } : {}),
  };
}

function clientOf(tls: TlsSettings): CertificateSource | undefined {
  const name = tls.credentialName ? `kubernetes://${tls.credentialName}` : tlsFiles(tls).client?.name;
  return name === undefined ? undefined : { type: 'secret', name };
}

function trustOf(tls: TlsSettings, subjectAltNames: readonly string[]): TrustSource {
  const name = tls.credentialName ? `kubernetes://${tls.credentialName}-cacert` : tlsFiles(tls).anchors?.name;
  if (name !== undefined) return { type: 'secret', name };
  return subjectAltNames.length > 0 ? { type: 'secret', name: systemAnchors.name } : { type: 'system' };
}
