import type { GatewayListenersTlsCertificateRefs } from '../../../../gen/crd/types/gateway-api/gateway.ts';
import type { ConfigObject } from '../../../config/object.ts';
import { readCertificate } from '../../../plan/read-certificate.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { configMapKind, group, namespaceOf, referenceGrantKind, secretKind } from './kinds.ts';

const grantsByNamespace = defineIndex('gateway-api-grants', referenceGrantKind, (grant) => [
  namespaceOf(grant),
]);

/** `group/kind/namespace` of who refers, `group/kind/namespace/name` of what is referred to. */
const granted = defineQuery('gateway-api.granted', (view, from: Key, to: Key): boolean => {
  const [fromGroup, fromKind, fromNamespace] = from.split('|');
  const [toGroup, toKind, toNamespace = '', toName] = to.split('|');
  return view.list(grantsByNamespace, toNamespace).some((key) => {
    const spec = view.get(referenceGrantKind, key)?.spec;
    return (
      spec?.from.some(
        (one) => one.group === fromGroup && one.kind === fromKind && one.namespace === fromNamespace,
      ) &&
      spec.to.some((one) => one.group === toGroup && one.kind === toKind && (one.name ?? toName) === toName)
    );
  });
});

export interface Referrer {
  readonly kind: string;
  readonly namespace: string;
}

export interface Target {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Whether an object of the Gateway API may refer to another: in its own namespace, or where a ReferenceGrant lets it. */
export function mayRefer(view: View, from: Referrer, to: Target): boolean {
  if (from.namespace === to.namespace) return true;
  return view.call(
    granted,
    `${group}|${from.kind}|${from.namespace}`,
    `${to.group}|${to.kind}|${to.namespace}|${to.name}`,
  );
}

/** Why a reference cannot be used. */
export interface Fault {
  readonly reason: string;
  readonly message: string;
}

export type Resolved<T> = { readonly ok: true; readonly value: T } | ({ readonly ok: false } & Fault);

function fail(reason: string, message: string): { readonly ok: false } & Fault {
  return { ok: false, reason, message };
}

/** The Secret with a certificate that a listener, or a Gateway for its backends, refers to: its `namespace/name`. */
export function resolveCertificate(
  view: View,
  from: Referrer,
  ref: GatewayListenersTlsCertificateRefs,
  reason: string,
): Resolved<Key> {
  const { group: refGroup = '', kind = 'Secret', name } = ref;
  if (!(refGroup === '' || refGroup === 'core') || kind !== 'Secret')
    return fail(
      reason,
      `certificate reference ${refGroup}/${kind}/${name}: only Secrets of the core group hold certificates`,
    );
  const namespace = ref.namespace || from.namespace;
  const key = `${namespace}/${name}`;
  if (!mayRefer(view, from, { group: '', kind, namespace, name }))
    return fail(
      'RefNotPermitted',
      `Secret ${key} is not open to ${from.kind}s of ${from.namespace}: a ReferenceGrant in ${namespace} must allow it`,
    );
  const found = view.call(certificateIn, key);
  if (!found) return fail(reason, `there is no Secret ${key}`);
  return found.ok ? { ok: true, value: key } : fail(reason, `Secret ${key} cannot be used: ${found.why}`);
}

export interface Validity {
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The certificate of a Secret (`namespace/name`) that is there: how long it holds, or what is wrong with it. Envoy would refuse what is wrong. */
export const certificateIn = defineQuery(
  'gateway-api.certificate',
  (
    view,
    key: Key,
  ): ({ readonly ok: true } & Validity) | { readonly ok: false; readonly why: string } | undefined => {
    const secret = view.get(secretKind, key);
    if (!secret) return undefined;
    const reading = readCertificate(secret);
    if (!reading.ok) return reading;
    const { notBefore, notAfter } = reading.value.facts;
    return { ok: true, notBefore, notAfter };
  },
);

export interface TrustRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

/** Trust anchors in a ConfigMap or Secret (`ca.crt`): `ConfigMap/namespace/name`. */
export function resolveTrust(
  view: View,
  from: Referrer,
  ref: TrustRef,
  reasons: { readonly kind: string; readonly invalid: string },
): Resolved<Key> {
  const { kind, name } = ref;
  if (ref.group !== '' || (kind !== 'ConfigMap' && kind !== 'Secret'))
    return fail(
      reasons.kind,
      `reference ${ref.group}/${kind}/${name}: trust anchors are in a ConfigMap or a Secret`,
    );
  const namespace = ref.namespace || from.namespace;
  const id = `${kind}/${namespace}/${name}`;
  if (!mayRefer(view, from, { group: '', kind, namespace, name }))
    return fail(
      'RefNotPermitted',
      `${kind} ${namespace}/${name} is not open to ${from.kind}s of ${from.namespace}: a ReferenceGrant in ${namespace} must allow it`,
    );
  const text = trustText(view, id);
  if (text === undefined) return fail(reasons.invalid, `there is no ${kind} ${namespace}/${name}`);
  if (!isPem(text, 'CERTIFICATE'))
    return fail(
      reasons.invalid,
      `${kind} ${namespace}/${name} holds no certificates: it needs PEM under ca.crt`,
    );
  return { ok: true, value: id };
}

/** The trust anchors of `ConfigMap/namespace/name` or `Secret/namespace/name`; '' where the object has none. */
export function trustText(view: View, id: Key): string | undefined {
  const slash = id.indexOf('/');
  const key = id.slice(slash + 1);
  if (id.slice(0, slash) === 'Secret') {
    const secret = view.get(secretKind, key);
    return secret && (secretText(secret, 'ca.crt') ?? '');
  }
  const map = view.get(configMapKind, key);
  return map && ((map.data as Record<string, string> | undefined)?.['ca.crt'] ?? '');
}

/** A field of a Secret as text: base64 under `data`, plain under `stringData`. */
export function secretText(secret: ConfigObject, field: string): string | undefined {
  const plain = (secret.stringData as Record<string, string> | undefined)?.[field];
  if (plain !== undefined) return plain;
  const encoded = (secret.data as Record<string, string> | undefined)?.[field];
  try {
    return encoded === undefined ? undefined : atob(encoded);
  } catch {
    return undefined;
  }
}

/** Whether a text holds a PEM block of a type, whose content is DER: what Envoy would refuse must not reach it. */
export function isPem(text: string | undefined, type: string): boolean {
  const block = new RegExp(`-----BEGIN [A-Z ]*${type}-----([A-Za-z0-9+/=\\s]+)-----END [A-Z ]*${type}-----`);
  const body = block.exec(text ?? '')?.[1];
  if (!body) return false;
  try {
    return atob(body.replace(/\s/g, '')).charCodeAt(0) === 0x30;
  } catch {
    return false;
  }
}
