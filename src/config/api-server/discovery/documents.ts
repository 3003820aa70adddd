import type { DiscoveredGroup, DiscoveredResource } from './resources.ts';

/** The discovery documents of Kubernetes, in the old form of one document per group version and in the aggregated form. */

export function apiVersions(address: string): unknown {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
  };
}

export function apiGroupList(groups: readonly DiscoveredGroup[]): unknown {
  const named = groups.filter((one) => one.group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: named.map(groupEntry) };
}

export function apiGroup(group: DiscoveredGroup): unknown {
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group) };
}

function groupEntry(group: DiscoveredGroup): Record<string, unknown> {
  const versions = group.versions.map(({ version }) => ({
    groupVersion: `${group.group}/${version}`,
    version,
  }));
  return { name: group.group, versions, preferredVersion: versions[0] };
}

export function apiResourceList(groupVersion: string, resources: readonly DiscoveredResource[]): unknown {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion,
    resources: resources.flatMap(resourceEntries),
  };
}

function resourceEntries(one: DiscoveredResource): Record<string, unknown>[] {
  const main = {
    name: one.plural,
    singularName: one.singular,
    namespaced: one.namespaced,
    kind: one.kind,
    verbs: one.verbs,
    ...(one.shortNames.length > 0 ? { shortNames: one.shortNames } : {}),
    ...(one.categories.length > 0 ? { categories: one.categories } : {}),
  };
  const below = one.subresources.map(({ name, kind, verbs, group, version }) => ({
    name: `${one.plural}/${name}`,
    singularName: '',
    namespaced: one.namespaced,
    ...(group === undefined ? {} : { group, version }),
    kind,
    verbs,
  }));
  return [main, ...below];
}

/** `APIGroupDiscoveryList`: everything in one document. `core`: for `/api`, else for `/apis`. */
export function aggregatedDiscovery(
  groups: readonly DiscoveredGroup[],
  core: boolean,
  version: string,
): unknown {
  const items = groups
    .filter((one) => (one.group === '') === core)
    .map((one) => ({
      metadata: { name: one.group === '' ? undefined : one.group, creationTimestamp: null },
      versions: one.versions.map((entry) => ({
        version: entry.version,
        resources: entry.resources.map((resource) => aggregatedResource(resource, one.group, entry.version)),
        freshness: 'Current',
      })),
    }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function aggregatedResource(
  one: DiscoveredResource,
  group: string,
  version: string,
): Record<string, unknown> {
  return {
    resource: one.plural,
    responseKind: { group, version, kind: one.kind },
    scope: one.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: one.singular,
    verbs: one.verbs,
    ...(one.shortNames.length > 0 ? { shortNames: one.shortNames } : {}),
    ...(one.categories.length > 0 ? { categories: one.categories } : {}),
    ...(one.subresources.length > 0
      ? {
          subresources: one.subresources.map((sub) => ({
            subresource: sub.name,
            responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
            verbs: sub.verbs,
          })),
        }
      : {}),
  };
}
