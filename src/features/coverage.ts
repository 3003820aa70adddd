import type { ConfigObject } from '../config/object.ts';

/** A field that is stored and validated, and that nothing acts on yet. */
export interface UncoveredField {
  /** JSON path with `[]` for every element and `{}` for every value of a map. */
  readonly path: string;
  /** What happens instead. */
  readonly instead: string;
}

/** Per kind, the fields that are not acted on: status conditions say so, nothing is silently ignored. */
export const uncoveredFields: Readonly<Record<string, readonly UncoveredField[]>> = {
  VirtualService: [
    { path: 'spec.http[].fault.abort.http2Error', instead: 'no request is aborted' },
    { path: 'spec.http[].fault.delay.exponentialDelay', instead: 'no request is delayed' },
  ],
  DestinationRule: [],
  Gateway: [
    {
      path: 'spec.servers[].defaultEndpoint',
      instead: 'requests without a route are answered 404, as with Istio',
    },
  ],
  Sidecar: [],
  EnvoyFilter: [],
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
}

/** The fields of an object that are set and not acted on. */
export function uncoveredUses(object: ConfigObject): UncoveredUse[] {
  return (uncoveredFields[object.kind] ?? []).flatMap(({ path, instead }) =>
    find(object, path.split('.'), '').map((at) => ({ path: at, instead })),
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
