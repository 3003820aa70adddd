import type { Origin } from '../../../config/origin.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { backendTls, clientCertificate } from './backend-tls.ts';
import { ownGateways } from './bound.ts';
import { allBackendTlsPolicies, secretKind } from './kinds.ts';
import { gatewayListeners, isServed } from './listeners.ts';
import { isPem, secretText, trustText } from './references.ts';
import { anchorsOf, certificateName, trustName } from './tls.ts';

/** What one Gateway's listeners and backends need: `certificate namespace/name`, `trust Kind/namespace/name,…`. */
const neededBy = defineQuery('gateway-api.secrets-of', (view, gateway: Key): readonly Key[] => {
  const needed = new Set<string>();
  for (const listener of view.call(gatewayListeners, gateway)) {
    if (!isServed(listener)) continue;
    for (const key of listener.certificates) needed.add(`certificate ${key}`);
    const anchors = anchorsOf(listener);
    if (anchors) needed.add(`trust ${anchors.join(',')}`);
  }
  const client = clientCertificate(view, gateway);
  if (client?.ok) needed.add(`certificate ${client.value}`);
  return [...needed].sort();
});

/** The anchors for backends, which every proxy may call; anchors are no secret. */
const backendAnchors = defineQuery('gateway-api.backend-anchors', (view): readonly Key[] => {
  const all = view.list(allBackendTlsPolicies, '').flatMap((policy) => {
    const anchors = view.call(backendTls, policy)?.anchors ?? [];
    return anchors.length > 0 ? [`trust ${anchors.join(',')}`] : [];
  });
  return [...new Set(all)].sort();
});

const secretKeys = defineQuery('gateway-api.secrets', (view): readonly Key[] => {
  const own = view.call(ownGateways).flatMap((gateway) => view.call(neededBy, gateway));
  return [...new Set([...own, ...view.call(backendAnchors)])].sort();
});

const utf8 = new TextEncoder();

function planSecret(view: View, id: Key): SecretPlan | undefined {
  const space = id.indexOf(' ');
  const name = id.slice(space + 1);
  return id.slice(0, space) === 'certificate'
    ? planCertificate(view, name)
    : planTrust(view, name.split(','));
}

function planCertificate(view: View, key: Key): SecretPlan | undefined {
  const secret = view.get(secretKind, key);
  const certificate = secret && secretText(secret, 'tls.crt');
  const privateKey = secret && secretText(secret, 'tls.key');
  if (!certificate || !privateKey) return undefined;
  return secretPlan({
    name: certificateName(key),
    content: {
      type: 'certificate',
      certificate: utf8.encode(certificate),
      privateKey: utf8.encode(privateKey),
    },
    origin: originOf(`Secret/${key}`),
  });
}

function planTrust(view: View, anchors: readonly string[]): SecretPlan | undefined {
  const texts = anchors.map((anchor) => trustText(view, anchor)).filter((text) => isPem(text, 'CERTIFICATE'));
  if (texts.length === 0) return undefined;
  return secretPlan({
    name: trustName(anchors),
    content: { type: 'trust', certificates: utf8.encode(texts.join('\n')) },
    origin: originOf(anchors[0] ?? ''),
  });
}

function originOf(id: string): Origin {
  const [kind = '', namespace = '', name = ''] = id.split('/');
  return { kind, namespace, name, path: '' };
}

export const gatewayApiSecrets: Shaper<SecretPlan> = {
  name: 'gateway-api',
  keys: secretKeys,
  plan: planSecret,
};
