import { CodedError } from '../../kit/coded-error.ts';
import { type ApiClient, ApiError } from './api-client.ts';

/** A resource that the API server serves, in one version. */
export interface ApiResource {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
}

interface AggregatedDiscovery {
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly resources?: readonly {
        readonly resource: string;
        readonly responseKind?: { readonly kind?: string };
        readonly scope?: string;
        readonly singularResource?: string;
        readonly shortNames?: readonly string[];
        readonly categories?: readonly string[];
      }[];
    }[];
  }[];
}

const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** Everything served, preferred groups and versions first (aggregated discovery, Kubernetes 1.26 and newer). */
export async function discover(client: ApiClient): Promise<ApiResource[]> {
  const [core, groups] = await Promise.all(
    ['/api', '/apis'].map((path) => client.get<AggregatedDiscovery>(path, { accept })),
  );
  const resources = [core, groups].flatMap((list) =>
    (list?.items ?? []).flatMap((group) =>
      (group.versions ?? []).flatMap(({ version, resources = [] }) =>
        resources.map(
          (resource): ApiResource => ({
            group: group.metadata?.name ?? '',
            version,
            kind: resource.responseKind?.kind ?? '',
            plural: resource.resource,
            singular: resource.singularResource || (resource.responseKind?.kind ?? '').toLowerCase(),
            shortNames: resource.shortNames ?? [],
            categories: resource.categories ?? [],
            namespaced: resource.scope === 'Namespaced',
          }),
        ),
      ),
    ),
  );
  if (resources.length > 0) return resources;
  throw new CodedError(
    'DiscoveryUnsupported',
    `the API server ${client.access.server} does not answer aggregated discovery; it must be Kubernetes 1.26 or newer, or Ostria`,
  );
}

/** The resource of an object by its apiVersion and kind; undefined where none is served. */
export function resourceOfObject(
  resources: readonly ApiResource[],
  object: { readonly apiVersion: string; readonly kind: string },
): ApiResource | undefined {
  const [version = '', group = ''] = object.apiVersion.split('/').reverse();
  return resources.find(
    (resource) => resource.kind === object.kind && resource.group === group && resource.version === version,
  );
}

/**
 * The resource that a user names: `virtualservices`, `vs`, `VirtualService`, `virtualservice.networking.istio.io`,
 * `virtualservices.v1.networking.istio.io`. Throws `ResourceUnknown` with near names.
 */
export function resourceOfName(resources: readonly ApiResource[], name: string): ApiResource {
  const wanted = name.toLowerCase();
  const named = resources.filter((resource) => namesOf(resource).includes(wanted));
  // `gateways` are Istio's and the Gateway API's: without a group, Istio's are meant.
  const found =
    named.find(({ group }) => group.endsWith('.istio.io')) ??
    named[0] ??
    resources.find((resource) => qualifiedNamesOf(resource).includes(wanted));
  if (found) return found;
  const near = [...new Set(resources.map(({ plural }) => plural))].filter(
    (plural) => plural.startsWith(wanted.slice(0, 4)) || plural.includes(wanted.replace(/s$/, '')),
  );
  throw new CodedError(
    'ResourceUnknown',
    `the API server has no resource ${JSON.stringify(name)}${near.length > 0 ? `; did you mean ${near.slice(0, 3).join(', ')}?` : '; ostria get api-resources lists them'}`,
  );
}

function namesOf({ plural, singular, kind, shortNames }: ApiResource): string[] {
  return [plural, singular, kind.toLowerCase(), ...shortNames];
}

function qualifiedNamesOf(resource: ApiResource): string[] {
  const { group, version } = resource;
  return [resource.plural, resource.singular, resource.kind.toLowerCase()].flatMap((name) => [
    `${name}.${group}`,
    `${name}.${version}.${group}`,
  ]);
}

/** Path of a collection, or of one object. `namespace` is ignored for cluster-scoped resources; absent: all namespaces. */
export function resourcePath(resource: ApiResource, namespace?: string, name?: string): string {
  const base =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope =
    resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${base}${scope}/${resource.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

/** True for the answer that there is no such object. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
