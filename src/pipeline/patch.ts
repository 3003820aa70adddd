import { fromBinary } from '@bufbuild/protobuf';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { distinctOrigins, encodedResource } from '../envoy/pack.ts';
import { hashBytes } from '../kit/hash.ts';
import type { Feature, OutputPatches, PatchedType } from '../plan/feature.ts';
import { defineQuery, type Key, type Query } from '../snapshot/query.ts';
import { type Resource, removedType } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import type { HostBody } from './host-body.ts';
import { sameResource } from './same-resource.ts';

/** The patches of the feature that has some. */
export function patchesOf(features: readonly Feature[]): OutputPatches | undefined {
  const found = features.flatMap((feature) => feature.patches ?? []);
  if (found.length > 1) throw new Error('two features patch the output: only one may');
  return found[0];
}

type Built = Query<Key[], Resource | undefined>;

/**
 * A resource as the asking proxy gets it. What no patch concerns is everybody's: the same object, made once. What is patched is made
 * once for all to whom the same patches apply.
 */
export function patchedItem(
  name: string,
  type: PatchedType,
  patches: OutputPatches,
  built: Built,
): (view: View, ids: readonly Key[]) => Resource | undefined {
  const patched = defineQuery(
    `${name}.patched`,
    (view, set: Key, ...ids: Key[]): Resource | undefined => {
      const resource = view.call(built, ...ids);
      return resource && patchResource(view, type, patches, set, resource);
    },
    { equal: sameResource },
  );
  return (view, ids) => {
    const resource = view.call(built, ...ids);
    if (!resource) return undefined;
    const set = view.call(patches.applicable, type);
    if (set === '') return resource;
    const concerning = patches.concerning(view, set, type, resource);
    return concerning === '' ? resource : view.call(patched, concerning, ...ids);
  };
}

function patchResource(
  view: View,
  type: PatchedType,
  patches: OutputPatches,
  set: Key,
  resource: Resource,
): Resource | undefined {
  const result =
    type === 'cluster' ? patches.cluster(view, set, resource) : patches.listener(view, set, resource);
  const { content, applied } = result;
  if (applied.length === 0) return resource;
  const origins = distinctOrigins([...resource.origins, ...result.origins]);
  if (!content) return removed(resource.typeUrl, resource.name, applied);
  return { ...content, origins, hints: { ...content.hints, patches: applied } };
}

/** Stands in for what patches removed. */
export function removed(typeUrl: string, name: string, patches: readonly Key[]): Resource {
  const text = `${typeUrl} ${name}`;
  return encodedResource(removedType, text, new TextEncoder().encode(patches.join(' ')), [], { patches });
}

/** Virtual hosts likewise; `undefined` body: removed. */
export type PatchedHostBody = HostBody & { readonly patches?: readonly Key[]; readonly isRemoved?: boolean };

export function patchHostBody(
  view: View,
  patches: OutputPatches,
  set: Key,
  target: { routes: string; port?: number },
  found: HostBody,
): PatchedHostBody {
  const result = patches.host(view, set, { ...target, name: found.name, alone: true }, found.body);
  if (result.applied.length === 0) return found;
  const { content } = result;
  if (!content) return { ...found, isRemoved: true, patches: result.applied };
  return {
    name: found.name,
    body: content.body,
    version: hashBytes(content.body),
    clusters: [...new Set([...found.clusters, ...content.clusters])].sort(),
    origins: distinctOrigins([...found.origins, ...result.origins]),
    patches: result.applied,
  };
}

/** The domains of encoded hosts. */
export function domainsOf(hosts: Iterable<HostBody>): Set<string> {
  const domains = new Set<string>();
  for (const { body } of hosts)
    for (const domain of fromBinary(VirtualHostSchema, body).domains) domains.add(domain);
  return domains;
}
