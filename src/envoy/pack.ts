import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type Any, anyPack, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { type Metadata, MetadataSchema } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import { type Origin, originId } from '../config/origin.ts';
import { hashBytes } from '../kit/hash.ts';
import type { Resource, ResourceHints } from '../snapshot/resource.ts';

/** Packs a message, given as its fields, into an Any. */
export function pack<D extends DescMessage>(schema: D, fields: MessageInitShape<D>): Any {
  return anyPack(schema, create(schema, fields));
}

/** A protobuf duration of milliseconds. */
export function duration(milliseconds: number): Duration {
  return create(DurationSchema, {
    seconds: BigInt(Math.trunc(milliseconds / 1000)),
    nanos: Math.round((milliseconds % 1000) * 1e6),
  });
}

/** The one key under which every Envoy object carries the origin of its decision; access logs print it. */
export const originNamespace = 'ostria';

/** `filter_metadata.ostria.origin`: which object and field made this. */
export function originMetadata(origin: Origin, more: Readonly<Record<string, string>> = {}): Metadata {
  return create(MetadataSchema, {
    filterMetadata: { [originNamespace]: { origin: originId(origin), ...more } },
  });
}

/** Adds texts beside the origin that `originMetadata` put there. */
export function addMetadata(
  message: { readonly metadata?: Metadata | undefined },
  more: Readonly<Record<string, string>>,
): void {
  Object.assign(message.metadata?.filterMetadata[originNamespace] ?? {}, more);
}

/** A resource from its encoded message; equal bytes give an equal version. */
export function encodedResource(
  typeUrl: string,
  name: string,
  bytes: Uint8Array,
  origins: readonly Origin[],
  hints?: ResourceHints,
): Resource {
  return { typeUrl, name, version: hashBytes(bytes), bytes, origins, ...(hints ? { hints } : {}) };
}

export function encodeResource<D extends DescMessage>(
  typeUrl: string,
  name: string,
  schema: D,
  message: MessageShape<D>,
  origins: readonly Origin[],
  hints?: ResourceHints,
): Resource {
  return encodedResource(typeUrl, name, toBinary(schema, message), origins, hints);
}

/** The objects behind origins, without their paths and without repetition, in order of first appearance. */
export function distinctOrigins(origins: Iterable<Origin>): Origin[] {
  const found: Origin[] = [];
  for (const origin of origins)
    if (!found.some((known) => sameObject(known, origin)))
      found.push(origin.path === '' ? origin : { ...origin, path: '' });
  return found;
}

function sameObject(a: Origin, b: Origin): boolean {
  return a.name === b.name && a.namespace === b.namespace && a.kind === b.kind;
}

/** Percent 0–100 in ten-thousandths, Envoy's finest grain. */
export function millionths(percent: number): number {
  return Math.round(Math.min(100, Math.max(0, percent)) * 10_000);
}
