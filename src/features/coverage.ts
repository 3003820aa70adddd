import type { ConfigObject } from '../config/object.ts';

/** A field that is stored and validated, and that nothing acts on yet. */
export interface UncoveredField {
  /** JSON path with `[]` for every element; of a map, the map itself. */
  readonly path: string;
  /** What happens instead. */
  readonly instead: string;
  /** Obsolete, or without a meaning here: worth knowing, and the object is accepted. */
  readonly note?: true;
}

const targetPort =
  'it has been obsolete at Istio for long: what a port leads to is said by the Service, or by defaultEndpoint';

/** How a sidecar speaks to its application follows the port; these are for callers. */
function ofCallers(pool: string): UncoveredField[] {
  return ['h2UpgradePolicy', 'useClientProtocol'].map((field) => ({
    path: `${pool}.http.${field}`,
    instead: 'the application is spoken to in the protocol of its port',
  }));
}

/** Per kind, the fields that are not acted on: status conditions say so, nothing is silently ignored. */
export const uncoveredFields: Readonly<Record<string, readonly UncoveredField[]>> = {
  VirtualService: [
    { path: 'spec.http[].fault.abort.http2Error', instead: 'no request is aborted' },
    { path: 'spec.http[].fault.delay.exponentialDelay', instead: 'no request is delayed' },
  ],
  DestinationRule: [],
  // Istio's Gateways, and those of the Gateway API.
  Gateway: [
    {
      path: 'spec.servers[].defaultEndpoint',
      instead: 'requests without a route are answered 404, as with Istio',
    },
    { path: 'spec.servers[].port.targetPort', instead: targetPort, note: true },
    {
      path: 'spec.infrastructure.annotations',
      instead: 'no Deployment or Service is made that could bear them',
    },
    {
      path: 'spec.infrastructure.parametersRef',
      instead: 'no Deployment or Service is made that it could change',
    },
  ],
  GatewayClass: [{ path: 'spec.parametersRef', instead: 'classes have no parameters here' }],
  Sidecar: [
    { path: 'spec.egress[].port.targetPort', instead: targetPort, note: true },
    { path: 'spec.ingress[].port.targetPort', instead: targetPort, note: true },
    ...ofCallers('spec.inboundConnectionPool'),
    ...ofCallers('spec.ingress[].connectionPool'),
    {
      path: 'spec.ingress[].tls.caCertCredentialName',
      instead: 'sidecars verify clients by the file caCertificates',
    },
  ],
  EnvoyFilter: [
    {
      path: 'spec.configPatches[].match.listener.portName',
      instead: 'the patch applies whatever the port is called, as with Istio: use portNumber or name',
    },
  ],
  AuthorizationPolicy: [],
  PeerAuthentication: [],
  RequestAuthentication: [],
  ServiceEntry: [],
  WorkloadEntry: [],
  ProxyConfig: [{ path: 'spec.image', instead: 'proxies run the Envoy of this installation' }],
  Service: [],
};

export interface UncoveredUse {
  /** The path in the object, with indexes. */
  readonly path: string;
  readonly instead: string;
  readonly note?: true;
}

/** The fields of an object that are set and not acted on. */
export function uncoveredUses(object: ConfigObject): UncoveredUse[] {
  return (uncoveredFields[object.kind] ?? []).flatMap(({ path, ...rest }) =>
    find(object, path.split('.'), '').map((at) => ({ path: at, ...rest })),
  );
}

/** Where an object has a value at a path. */
function find(value: unknown, path: readonly string[], at: string): string[] {
  const [step, ...rest] = path;
  if (step === undefined) return value === undefined || value === null ? [] : [at];
  if (typeof value !== 'object' || value === null) return [];
  const name = step.replace('[]', '');
  const inner = (value as Record<string, unknown>)[name];
  const here = at === '' ? name : `${at}.${name}`;
  if (!step.endsWith('[]')) return find(inner, rest, here);
  return Array.isArray(inner) ? inner.flatMap((item, index) => find(item, rest, `${here}[${index}]`)) : [];
}
