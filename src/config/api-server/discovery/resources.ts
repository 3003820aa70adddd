import type { Kind, KindRegistry, KindVersion } from '../../kind.ts';
import { isCertificateRequest } from '../certificate-requests.ts';
import type { VirtualResource } from '../reviews/virtual-resource.ts';
import { hashText } from './hash.ts';

/** One resource or subresource of a group version, as discovery lists it. */
export interface DiscoveredResource {
  plural: string;
  singular: string;
  namespaced: boolean;
  kind: string;
  shortNames: readonly string[];
  categories: readonly string[];
  verbs: readonly string[];
  /** Where the body of a subresource is of another group version than its parent. */
  group?: string;
  version?: string;
  subresources: readonly DiscoveredSubresource[];
}

export interface DiscoveredSubresource {
  name: string;
  kind: string;
  verbs: readonly string[];
  group?: string;
  version?: string;
}

export interface DiscoveredVersion {
  version: string;
  resources: DiscoveredResource[];
}

export interface DiscoveredGroup {
  /** '' is the core group. */
  group: string;
  versions: DiscoveredVersion[];
}

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** Everything that is served, groups in a stable order, versions with the preferred one first. */
export function discover(kinds: KindRegistry, virtual: readonly VirtualResource[]): DiscoveredGroup[] {
  const groups = new Map<string, Map<string, Map<string, DiscoveredResource>>>();
  const add = (group: string, version: string, resource: DiscoveredResource) => {
    const versions = groups.get(group) ?? new Map<string, Map<string, DiscoveredResource>>();
    groups.set(group, versions);
    const resources = versions.get(version) ?? new Map<string, DiscoveredResource>();
    versions.set(version, resources);
    if (!resources.has(resource.plural)) resources.set(resource.plural, resource);
  };
  for (const one of virtual) add(one.group, one.version, virtualResource(one));
  for (const kind of kinds.all()) {
    for (const version of kind.versions)
      if (version.served) add(kind.group, version.name, storedResource(kind, version));
  }
  return [...groups.entries()]
    .sort(([a], [b]) => compareGroups(a, b))
    .map(([group, versions]) => ({
      group,
      versions: [...versions.entries()]
        .sort(([a], [b]) => compareVersions(a, b))
        .map(([version, resources]) => ({
          version,
          resources: [...resources.values()].sort((a, b) => (a.plural < b.plural ? -1 : 1)),
        })),
    }));
}

function virtualResource(one: VirtualResource): DiscoveredResource {
  const { plural, kind, namespaced } = one;
  return {
    plural,
    singular: kind.toLowerCase(),
    namespaced,
    kind,
    shortNames: [],
    categories: [],
    verbs: ['create'],
    subresources: [],
  };
}

function storedResource(kind: Kind, version: KindVersion): DiscoveredResource {
  return {
    plural: kind.plural,
    singular: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    shortNames: kind.shortNames,
    categories: kind.categories,
    verbs: allVerbs,
    subresources: subresourcesOf(kind, version),
  };
}

export function subresourcesOf(kind: Kind, version: KindVersion): DiscoveredSubresource[] {
  const result: DiscoveredSubresource[] = [];
  const isNamespace = kind.group === '' && kind.kind === 'Namespace';
  if (isNamespace) result.push({ name: 'finalize', kind: kind.kind, verbs: ['update'] });
  if (isCertificateRequest(kind))
    result.push({ name: 'approval', kind: kind.kind, verbs: ['get', 'patch', 'update'] });
  if (version.statusSubresource || isNamespace)
    result.push({ name: 'status', kind: kind.kind, verbs: ['get', 'patch', 'update'] });
  if (kind.group === '' && kind.kind === 'ServiceAccount') {
    result.push({
      name: 'token',
      kind: 'TokenRequest',
      verbs: ['create'],
      group: 'authentication.k8s.io',
      version: 'v1',
    });
  }
  return result;
}

/** The core group first, then Kubernetes' own groups, then the rest. */
function compareGroups(a: string, b: string): number {
  const rank = (group: string) =>
    group === '' ? 0 : group.includes('.') && !group.endsWith('.k8s.io') ? 2 : 1;
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

/** Kubernetes' version priority: stable before beta before alpha, higher numbers first. */
export function compareVersions(a: string, b: string): number {
  const parse = (version: string) => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
    if (!match) return { stage: -1, major: 0, minor: 0 };
    const stage = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0;
    return { stage, major: Number(match[1]), minor: Number(match[3] ?? 0) };
  };
  const left = parse(a);
  const right = parse(b);
  return right.stage - left.stage || right.major - left.major || right.minor - left.minor || (a < b ? -1 : 1);
}

/** Changes when anything that discovery or OpenAPI shows changes. */
export function kindsFingerprint(kinds: KindRegistry): string {
  const parts = kinds.all().map((kind) => {
    const versions = kind.versions.map((one) => `${one.name}:${one.served}:${schemaId(one)}`);
    return `${kind.group}/${kind.kind}/${versions.join(',')}`;
  });
  return hashText(parts.sort().join(';'));
}

const ids = new WeakMap<object, number>();
let lastId = 0;

function schemaId(version: KindVersion): number {
  let id = ids.get(version.schema);
  if (id === undefined) {
    id = ++lastId;
    ids.set(version.schema, id);
  }
  return id;
}
