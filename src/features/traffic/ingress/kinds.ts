import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export interface IngressBackend {
  readonly service?: {
    readonly name: string;
    readonly port?: { readonly name?: string; readonly number?: number };
  };
  readonly resource?: unknown;
}

export interface IngressPath {
  readonly path?: string;
  readonly pathType?: string;
  readonly backend: IngressBackend;
}

export interface IngressSpec {
  readonly ingressClassName?: string;
  readonly defaultBackend?: IngressBackend;
  readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[];
  readonly rules?: readonly {
    readonly host?: string;
    readonly http?: { readonly paths?: readonly IngressPath[] };
  }[];
}

export type Ingress = ConfigObject<IngressSpec>;

export const ingressKind = configKind<IngressSpec>('networking.k8s.io/Ingress');
export const ingressClassKind = configKind<{ readonly controller?: string }>(
  'networking.k8s.io/IngressClass',
);

/** Every Ingress, under ''. */
export const allIngresses = defineIndex('ingresses', ingressKind, () => ['']);

/** Host of a rule → Ingresses. Rules without one, and default backends, are for `*`. */
export const ingressesByHost = defineIndex('ingresses-by-host', ingressKind, (ingress) => hostsOf(ingress));

export function hostsOf({ spec }: Ingress): string[] {
  const hosts = (spec?.rules ?? []).map(({ host }) => host || '*');
  return [...new Set(spec?.defaultBackend ? [...hosts, '*'] : hosts)];
}

/** Every backend, with the place where it is written. */
export function backendsOf({ spec }: Ingress): { backend: IngressBackend; path: string }[] {
  const rules = (spec?.rules ?? []).flatMap(({ http }, index) =>
    (http?.paths ?? []).map(({ backend }, at) => ({
      backend,
      path: `spec.rules[${index}].http.paths[${at}].backend`,
    })),
  );
  return spec?.defaultBackend
    ? [...rules, { backend: spec.defaultBackend, path: 'spec.defaultBackend' }]
    : rules;
}

export function namespaceOf({ metadata }: Ingress): string {
  return metadata.namespace ?? 'default';
}

export function ingressOrigin(ingress: Ingress, path: string): Origin {
  return { kind: 'Ingress', namespace: namespaceOf(ingress), name: ingress.metadata.name, path };
}
