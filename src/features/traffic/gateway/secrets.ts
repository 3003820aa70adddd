import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { inNamespace, proxyNamespace, proxyType } from '../../../plan/attributes.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  credentialsOf,
  type DestinationRule,
  destinationRuleKind,
  rulesWithCredentials,
} from '../destination-rule/schema.ts';
import { secretName } from './listeners.ts';
import { gatewayKind } from './schema.ts';
import { boundServers } from './servers.ts';

export const secretKind = configKind<undefined>('Secret');

/** Credentials that the asking gateway's servers name, with the trust anchors that go with them. */
const credentials = defineQuery('gateway.credentials', (view): readonly Key[] => {
  const names = new Set<string>();
  for (const { gateway, index } of view.call(boundServers)) {
    const tls = view.get(gatewayKind, gateway)?.spec?.servers?.[index]?.tls;
    for (const name of tls?.credentialNames?.length ? tls.credentialNames : [tls?.credentialName ?? ''])
      if (isPlainName(name)) names.add(name).add(`${name}-cacert`);
    if (tls?.caCertCredentialName && isPlainName(tls.caCertCredentialName))
      names.add(tls.caCertCredentialName);
  }
  for (const key of view.list(rulesWithCredentials, '')) {
    const rule = view.get(destinationRuleKind, key);
    if (!rule || !getsSecrets(view, rule)) continue;
    for (const name of credentialsOf(rule)) if (isPlainName(name)) names.add(name).add(`${name}-cacert`);
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

/** A name with a slash would reach into another namespace: a proxy sees its own namespace's secrets only. */
function isPlainName(name: string): boolean {
  return name !== '' && !name.includes('/');
}

/** credential, namespace of the asking proxy */
function resolveSecret(view: View, credential: Key): readonly Key[] {
  return [credential, view.attribute(proxyNamespace)];
}

function planSecret(view: View, credential: Key, namespace: Key): SecretPlan | undefined {
  const object = view.get(secretKind, `${namespace}/${credential}`);
  const trustOnly = credential.endsWith('-cacert');
  // The anchors may be in a secret of their own, or beside the certificate.
  const base = trustOnly
    ? (object ?? view.get(secretKind, `${namespace}/${credential.slice(0, -'-cacert'.length)}`))
    : object;
  if (!base) return undefined;
  const origin: Origin = { kind: 'Secret', namespace, name: base.metadata.name, path: '' };
  const certificate = field(base, 'tls.crt') ?? field(base, 'cert');
  const privateKey = field(base, 'tls.key') ?? field(base, 'key');
  const name = secretName(credential);
  if (!trustOnly && certificate && privateKey)
    return secretPlan({ name, content: { type: 'certificate', certificate, privateKey }, origin });
  const certificates = field(base, 'ca.crt') ?? field(base, 'cacert');
  const crl = field(base, 'ca.crl') ?? field(base, 'crl');
  if (!certificates) return undefined;
  return secretPlan({ name, content: { type: 'trust', certificates, ...(crl ? { crl } : {}) }, origin });
}

const utf8 = new TextEncoder();

/** A field of a Secret: base64 under `data`, plain under `stringData`. */
function field(secret: ConfigObject, name: string): Uint8Array | undefined {
  const plain = (secret.stringData as Record<string, string> | undefined)?.[name];
  if (plain !== undefined) return utf8.encode(plain);
  const encoded = (secret.data as Record<string, string> | undefined)?.[name];
  if (encoded === undefined) return undefined;
  try {
    return Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

export const gatewaySecrets: Shaper<SecretPlan> = {
  name: 'gateway',
  keys: credentials,
  resolve: resolveSecret,
  plan: planSecret,
};
