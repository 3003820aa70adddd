import type { Origin } from '../../../config/origin.ts';
import { inNamespace, proxyNamespace, proxyType } from '../../../plan/attributes.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { holdsCertificate, readCertificate, readTrust } from '../../../plan/read-certificate.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  credentialsOf,
  type DestinationRule,
  destinationRuleKind,
  rulesWithCredentials,
} from '../destination-rule/schema.ts';
import { anchorsOf, credentialObject, isAnchors, parseCredential, secretName } from './credentials.ts';
import { gatewayAt } from './gateways.ts';
import { certificateCredentials, trustCredential } from './server-tls.ts';
import { boundServers } from './servers.ts';

/** Credentials that the asking gateway's servers name, with the trust anchors that go with them. */
const credentials = defineQuery('gateway.credentials', (view): readonly Key[] => {
  const names = new Set<string>();
  const add = (name: string): void => {
    if (parseCredential(name)) names.add(name);
  };
  for (const { gateway, index } of view.call(boundServers)) {
    const tls = gatewayAt(view, gateway)?.spec?.servers?.[index]?.tls;
    if (!tls) continue;
    for (const name of certificateCredentials(tls)) add(name);
    const trust = trustCredential(tls);
    if (trust !== undefined) add(trust);
  }
  for (const key of view.list(rulesWithCredentials, '')) {
    const rule = view.get(destinationRuleKind, key);
    if (!rule || !getsSecrets(view, rule)) continue;
    for (const name of credentialsOf(rule)) {
      add(name);
      add(anchorsOf(name));
    }
  }
  return [...names].sort();
});

/** Gateways, and the sidecars of the rule's namespace that it selects. */
function getsSecrets(view: View, rule: DestinationRule): boolean {
  if (view.attribute(proxyType) === 'router') return true;
  const selector = rule.spec?.workloadSelector?.matchLabels;
  return (
    selector !== undefined &&
    view.attribute(inNamespace(rule.metadata.namespace ?? 'default')) &&
    view.matches(selector)
  );
}

/** credential, namespace of the asking proxy */
function resolveSecret(view: View, credential: Key): readonly Key[] {
  return [credential, view.attribute(proxyNamespace)];
}

/**
 * What Envoy would refuse is not sent: a proxy that has an earlier version keeps it, and the others take no connection for it. The
 * object that names it says why (problems.ts).
 */
function planSecret(view: View, credential: Key, namespace: Key): SecretPlan | undefined {
  const object = credentialObject(view, credential, namespace);
  if (!object) return undefined;
  const origin: Origin = { kind: object.kind, namespace, name: object.metadata.name, path: '' };
  const name = secretName(credential);
  if (!isAnchors(credential) && holdsCertificate(object)) {
    const pair = readCertificate(object);
    if (!pair.ok) return undefined;
    const { certificate, privateKey } = pair.value;
    return secretPlan({ name, content: { type: 'certificate', certificate, privateKey }, origin });
  }
  const trust = readTrust(object);
  if (!trust.ok) return undefined;
  const { certificates, crl } = trust.value;
  return secretPlan({ name, content: { type: 'trust', certificates, ...(crl ? { crl } : {}) }, origin });
}

export const gatewaySecrets: Shaper<SecretPlan> = {
  name: 'gateway',
  keys: credentials,
  resolve: resolveSecret,
  plan: planSecret,
};
