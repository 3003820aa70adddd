import { crds, type GeneratedCrd } from '../../../gen/crd/index.js';
import type { Kind, StructuralSchema } from '../kind.ts';
import { withDescriptions } from './descriptions.ts';

/** Kinds whose whole behaviour is in the mesh; the others of these groups are stored and say in their status that nothing acts on them. */
const built = new Set([
  'VirtualService.networking.istio.io',
  'DestinationRule.networking.istio.io',
  'Gateway.networking.istio.io',
  'ServiceEntry.networking.istio.io',
  'Sidecar.networking.istio.io',
  'EnvoyFilter.networking.istio.io',
  'WorkloadEntry.networking.istio.io',
  'WorkloadGroup.networking.istio.io',
  'ProxyConfig.networking.istio.io',
  'PeerAuthentication.security.istio.io',
  'RequestAuthentication.security.istio.io',
  'AuthorizationPolicy.security.istio.io',
  'GatewayClass.gateway.networking.k8s.io',
  'Gateway.gateway.networking.k8s.io',
  'ListenerSet.gateway.networking.k8s.io',
  'HTTPRoute.gateway.networking.k8s.io',
  'GRPCRoute.gateway.networking.k8s.io',
  'TLSRoute.gateway.networking.k8s.io',
  'TCPRoute.gateway.networking.k8s.io',
  'UDPRoute.gateway.networking.k8s.io',
  'ReferenceGrant.gateway.networking.k8s.io',
  'BackendTLSPolicy.gateway.networking.k8s.io',
  'XBackendTrafficPolicy.gateway.networking.x-k8s.io',
]);

/** Schemas are compiled once each, so all registries share them. */
const described = new Map<GeneratedCrd, StructuralSchema[]>();

/** The kinds of Istio and Gateway API, made from their CRDs. */
export function generatedKinds(validators: Readonly<Record<string, Kind['validate']>>): Kind[] {
  return crds.map((crd) => kindOf(crd, validators[`${crd.kind}.${crd.group}`]));
}

function schemasOf(crd: GeneratedCrd): StructuralSchema[] {
  let schemas = described.get(crd);
  if (!schemas) {
    schemas = crd.schemas.map((schema) => withDescriptions(`${crd.kind}.${crd.group}`, schema));
    described.set(crd, schemas);
  }
  return schemas;
}

function kindOf(crd: GeneratedCrd, validate: Kind['validate']): Kind {
  const { group, kind, plural, singular, shortNames, categories, namespaced } = crd;
  const schemas = schemasOf(crd);
  return {
    group,
    kind,
    plural,
    singular,
    shortNames,
    categories,
    namespaced,
    versions: crd.versions.map(({ schema, ...version }) => {
      const found = schemas[schema];
      if (!found) throw new Error(`gen/crd: ${plural}.${group} ${version.name} has no schema`);
      return { ...version, schema: found };
    }),
    ...(validate && { validate }),
    behaviour: built.has(`${kind}.${group}`) ? 'built' : 'planned',
  };
}
