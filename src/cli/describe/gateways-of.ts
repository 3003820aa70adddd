import type { ConfigObject } from '../../config/object.ts';
import { holdsLabels } from '../../kit/labels.ts';
import type { Model } from '../../model/model.ts';
import { objectsOfKind } from '../../model/model-objects.ts';

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly {
    readonly port?: { readonly number?: number; readonly protocol?: string };
    readonly hosts?: readonly string[];
  }[];
}

interface KubernetesGatewaySpec {
  readonly listeners?: readonly {
    readonly port?: number;
    readonly protocol?: string;
    readonly hostname?: string;
  }[];
}

interface RouteSpec {
  readonly gateways?: readonly string[];
  readonly hosts?: readonly string[];
  readonly parentRefs?: readonly {
    readonly kind?: string;
    readonly name?: string;
    readonly namespace?: string;
  }[];
  readonly hostnames?: readonly string[];
}

/** By this label a proxy serves a Gateway of the Gateway API. */
const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

export interface Serving {
  readonly object: ConfigObject;
  readonly says: string;
}

/** The Gateways that a gateway's proxy serves, with their servers, and the routes that are bound to them. */
export function gatewaysOf(
  model: Model,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Serving[] {
  const gateways = [...ofIstio(model, labels), ...ofKubernetes(model, namespace, labels)];
  return [
    ...gateways,
    ...routesOf(
      model,
      gateways.map(({ object }) => object),
    ),
  ];
}

/** Istio's Gateways select by labels, in every namespace. */
function ofIstio(model: Model, labels: Readonly<Record<string, string>>): Serving[] {
  return [...objectsOfKind<ConfigObject<GatewaySpec>>(model.objects, 'networking.istio.io/Gateway')]
    .filter(({ spec }) => holdsLabels(labels, spec?.selector ?? {}))
    .map((object) => ({
      object,
      says: `serves ${
        (object.spec?.servers ?? [])
          .map(({ port, hosts = [] }) => `${port?.protocol} ${hosts.join(', ')} on ${port?.number}`)
          .join('; ') || 'nothing'
      }`,
    }));
}

function ofKubernetes(model: Model, namespace: string, labels: Readonly<Record<string, string>>): Serving[] {
  const name = labels[gatewayNameLabel];
  if (name === undefined) return [];
  return [
    ...objectsOfKind<ConfigObject<KubernetesGatewaySpec>>(model.objects, 'gateway.networking.k8s.io/Gateway'),
  ]
    .filter(({ metadata }) => metadata.name === name && metadata.namespace === namespace)
    .map((object) => ({
      object,
      says: `serves ${
        (object.spec?.listeners ?? [])
          .map(({ port, protocol, hostname = '*' }) => `${protocol} ${hostname} on ${port}`)
          .join('; ') || 'nothing'
      }`,
    }));
}

function routesOf(model: Model, gateways: readonly ConfigObject[]): Serving[] {
  const names = (kind: 'istio' | 'kubernetes') =>
    new Set(
      gateways
        .filter(({ apiVersion }) => apiVersion.startsWith('networking.istio.io/') === (kind === 'istio'))
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    );
  const [istio, kubernetes] = [names('istio'), names('kubernetes')];
  const found: Serving[] = [];
  for (const object of objectsOfKind<ConfigObject<RouteSpec>>(
    model.objects,
    'networking.istio.io/VirtualService',
  )) {
    const { gateways: bound = [], hosts = [] } = object.spec ?? {};
    const own = bound.filter((name) =>
      istio.has(name.includes('/') ? name : `${object.metadata.namespace}/${name}`),
    );
    if (own.length > 0)
      found.push({ object, says: `routes ${hosts.join(', ')} (gateway ${own.join(', ')})` });
  }
  for (const kind of ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'])
    for (const object of objectsOfKind<ConfigObject<RouteSpec>>(
      model.objects,
      `gateway.networking.k8s.io/${kind}`,
    )) {
      const { parentRefs = [], hostnames = ['every host'] } = object.spec ?? {};
      const own = parentRefs.filter(({ kind: parent = 'Gateway', name, namespace }) =>
        parent === 'Gateway' ? kubernetes.has(`${namespace ?? object.metadata.namespace}/${name}`) : false,
      );
      if (own.length > 0)
        found.push({
          object,
          says: `routes ${hostnames.join(', ')} (Gateway ${own.map(({ name }) => name).join(', ')})`,
        });
    }
  return found;
}
