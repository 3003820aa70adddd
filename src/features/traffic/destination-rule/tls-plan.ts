import type { Origin } from '../../../config/origin.ts';
import { proxyType } from '../../../plan/attributes.ts';
import { type ClusterPlan, slowWarmingSlot, type UpstreamTls } from '../../../plan/cluster-plan.ts';
import { fill } from '../../../plan/slot.ts';
import { systemTrust } from '../../../plan/system-trust.ts';
import type { View } from '../../../snapshot/view.ts';
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

export function planTls(plan: ClusterPlan, tls: TlsSettings, origin: Origin): void {
  const mode = tls.mode ?? 'DISABLE';
  if (mode === 'DISABLE') fill(plan, tlsChoiceSlot, 'none', origin);
  else if (mode === 'ISTIO_MUTUAL') {
    fill(plan, tlsChoiceSlot, 'mesh', origin);
    const names = { sni: tls.sni ?? '', identities: tls.subjectAltNames ?? [] };
    if (names.sni !== '' || names.identities.length > 0) fill(plan, meshTlsNamesSlot, names, origin);
  } else {
    fill(plan, tlsChoiceSlot, 'origination', origin);
    plan.tls = origination(tls, mode);
    if (tls.credentialName) fill(plan, slowWarmingSlot, true, origin);
  }
}

function origination(tls: TlsSettings, mode: 'SIMPLE' | 'MUTUAL'): UpstreamTls {
  const sans = tls.subjectAltNames ?? [];
  const secret = tls.credentialName ? `kubernetes://${tls.credentialName}` : undefined;
  const trust = tls.insecureSkipVerify
    ? undefined
    : secret
      ? ({ type: 'secret', name: `${secret}-cacert` } as const)
      : tls.caCertificates === 'system' || !tls.caCertificates
        ? systemTrust(sans.length > 0)
        : ({ type: 'file', path: tls.caCertificates, ...(tls.caCrl ? { crl: tls.caCrl } : {}) } as const);
  const client =
    mode !== 'MUTUAL'
      ? undefined
      : secret
        ? ({ type: 'secret', name: secret } as const)
        : ({
            type: 'files',
            certificate: tls.clientCertificate ?? '',
            privateKey: tls.privateKey ?? '',
          } as const);
  return {
    type: 'origination',
    sni: tls.sni ?? '',
    // A gateway may send HTTP to a port that is called HTTPS; connections of bytes have no Host to take it from.
    autoSni: !tls.sni,
    subjectAltNames: sans,
    ...(client ? { client } : {}),
    ...(trust ? { trust } : {}),
  };
}
