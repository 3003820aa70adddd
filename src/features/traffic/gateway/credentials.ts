import type { ConfigObject } from '../../../config/object.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';

export const secretKind = configKind<undefined>('Secret');
const configMapKind = configKind<undefined>('ConfigMap');

/** Where a credential is looked for. */
export interface CredentialPlace {
  readonly kind: 'Secret' | 'ConfigMap';
  /** '': the namespace of the asking proxy. */
  readonly namespace: string;
  readonly name: string;
}

const secretScheme = 'kubernetes://';
const configMapScheme = 'configmap://';
const anchorsSuffix = '-cacert';

/** The name by which proxies ask for a credential, as Istio writes it: `kubernetes://name` unless the user names the kind. */
export function secretName(credential: string): string {
  return credential.startsWith(secretScheme) || credential.startsWith(configMapScheme)
    ? credential
    : `${secretScheme}${credential}`;
}

/** The trust anchors that go with a credential. */
export function anchorsOf(credential: string): string {
  return credential.endsWith(anchorsSuffix) ? credential : `${credential}${anchorsSuffix}`;
}

/** `name`, `kubernetes://[namespace/]name` or `configmap://[namespace/]name`; undefined: none that can be looked up. */
export function parseCredential(credential: string): CredentialPlace | undefined {
  const name = secretName(credential);
  const kind = name.startsWith(configMapScheme) ? 'ConfigMap' : 'Secret';
  const rest = name.slice(kind === 'ConfigMap' ? configMapScheme.length : secretScheme.length);
  const [first = '', second, more] = rest.split('/');
  if (first === '' || second === '' || more !== undefined) return undefined;
  return second === undefined
    ? { kind, namespace: '', name: first }
    : { kind, namespace: first, name: second };
}

/**
 * The object behind a credential for proxies of a namespace. A proxy sees its own namespace's only. The anchors `<name>-cacert` may
 * be in an object of their own, or beside the certificate.
 */
export function credentialObject(
  view: View,
  credential: string,
  namespace: string,
): ConfigObject | undefined {
  const place = parseCredential(credential);
  if (!place || (place.namespace !== '' && place.namespace !== namespace)) return undefined;
  const kind = place.kind === 'ConfigMap' ? configMapKind : secretKind;
  const object = view.get(kind, `${namespace}/${place.name}`) as ConfigObject | undefined;
  if (object || !isAnchors(credential)) return object;
  return view.get(kind, `${namespace}/${place.name.slice(0, -anchorsSuffix.length)}`);
}

export function isAnchors(credential: string): boolean {
  return credential.endsWith(anchorsSuffix);
}
