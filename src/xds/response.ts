import type { Resource } from '../snapshot/resource.ts';
import {
  fieldLength,
  varintLength,
  writeBytesField,
  writeFieldHeader,
  writeStringField,
  writeVarint,
} from './wire.ts';

/** `delta`: repeated Resource in a DeltaDiscoveryResponse. `sotw`: repeated Any in a DiscoveryResponse. Both are field 2. */
export type Form = 'delta' | 'sotw';

/** The part of a response that any number of clients share: the encoded `resources` field, as consecutive buffers. */
export interface Body {
  readonly buffers: readonly Buffer[];
  readonly length: number;
}

const emptyBody: Body = { buffers: [], length: 0 };
/** Lists up to this length are written resource by resource; longer ones are cut into shared runs. */
const shortList = 8;
/** Mean length of a run: a boundary is a name whose hash ends in six zero bits. */
const runMask = 63;
/** Different runs that start with one resource: what differs is what follows it. More are simply encoded again. */
const runsPerStart = 4;

interface Run {
  readonly resources: readonly Resource[];
  readonly buffer: Buffer;
}

interface Shared {
  readonly bodies: WeakMap<readonly Resource[], Body>;
  readonly chunks: WeakMap<Resource, Buffer>;
  readonly runs: WeakMap<Resource, Run[]>;
}

const shared: Record<Form, Shared> = { delta: makeShared(), sotw: makeShared() };

function makeShared(): Shared {
  return { bodies: new WeakMap(), chunks: new WeakMap(), runs: new WeakMap() };
}

/**
 * Encodes a list of resources, once for all clients. An array that was seen before costs one lookup; a new array of known
 * resources costs an identity comparison per resource, for lists are cut into runs at boundaries that depend on the names
 * alone: two lists that differ in one resource share all runs but one.
 */
export function encodeBody(resources: readonly Resource[], form: Form): Body {
  if (resources.length === 0) return emptyBody;
  const cache = shared[form];
  const known = cache.bodies.get(resources);
  if (known) return known;
  const buffers =
    resources.length <= shortList
      ? resources.map((resource) => chunkOf(resource, form))
      : cutIntoRuns(resources, form);
  const body = { buffers, length: buffers.reduce((sum, buffer) => sum + buffer.length, 0) };
  cache.bodies.set(resources, body);
  return body;
}

function cutIntoRuns(resources: readonly Resource[], form: Form): Buffer[] {
  const buffers: Buffer[] = [];
  let start = 0;
  for (let i = 1; i <= resources.length; i++) {
    const next = resources[i];
    if (next !== undefined && (nameHash(next.name) & runMask) !== 0) continue;
    buffers.push(runOf(resources, start, i, form));
    start = i;
  }
  return buffers;
}

function runOf(resources: readonly Resource[], start: number, end: number, form: Form): Buffer {
  const first = resources[start] as Resource;
  const candidates = shared[form].runs.get(first) ?? [];
  const found = candidates.find((run) => isRun(run.resources, resources, start, end));
  if (found) return found.buffer;
  const run = resources.slice(start, end);
  const buffer = encodeResources(run, form);
  shared[form].runs.set(first, [{ resources: run, buffer }, ...candidates.slice(0, runsPerStart - 1)]);
  return buffer;
}

function isRun(
  run: readonly Resource[],
  resources: readonly Resource[],
  start: number,
  end: number,
): boolean {
  if (run.length !== end - start) return false;
  for (let i = 0; i < run.length; i++) if (run[i] !== resources[start + i]) return false;
  return true;
}

/** FNV-1a over the last characters of a name: they differ most, and the whole of a long name would cost more than it gives. */
function nameHash(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function chunkOf(resource: Resource, form: Form): Buffer {
  const chunks = shared[form].chunks;
  const known = chunks.get(resource);
  if (known) return known;
  const chunk = encodeResources([resource], form);
  chunks.set(resource, chunk);
  return chunk;
}

function encodeResources(resources: readonly Resource[], form: Form): Buffer {
  const sizes = resources.map((resource) => measure(resource, form));
  const target = Buffer.allocUnsafeSlow(sizes.reduce((sum, size) => sum + fieldLength(size.content), 0));
  let at = 0;
  for (const [i, resource] of resources.entries()) {
    const size = sizes[i] as Size;
    at = writeFieldHeader(target, at, 2, size.content);
    at = form === 'delta' ? writeResource(target, at, resource, size) : writeAny(target, at, resource, size);
  }
  return target;
}

interface Size {
  readonly name: number;
  readonly version: number;
  readonly typeUrl: number;
  readonly any: number;
  readonly content: number;
}

function measure(resource: Resource, form: Form): Size {
  const typeUrl = Buffer.byteLength(resource.typeUrl);
  const any = fieldLength(typeUrl) + fieldLength(resource.bytes.length);
  const name = Buffer.byteLength(resource.name);
  const version = Buffer.byteLength(resource.version);
  const content = form === 'sotw' ? any : fieldLength(version) + fieldLength(any) + fieldLength(name);
  return { name, version, typeUrl, any, content };
}

/** envoy.service.discovery.v3.Resource: version 1, resource 2, name 3. */
function writeResource(target: Buffer, offset: number, resource: Resource, size: Size): number {
  let at = writeStringField(target, offset, 1, resource.version, size.version);
  at = writeFieldHeader(target, at, 2, size.any);
  at = writeAny(target, at, resource, size);
  return writeStringField(target, at, 3, resource.name, size.name);
}

/** google.protobuf.Any: type_url 1, value 2. */
function writeAny(target: Buffer, offset: number, resource: Resource, size: Size): number {
  const at = writeStringField(target, offset, 1, resource.typeUrl, size.typeUrl);
  return writeBytesField(target, at, 2, resource.bytes);
}

/**
 * A virtual host that does not exist, as VHDS wants it told: its name as its own alias and no body (Envoy then answers 404 at
 * once; `removed_resources` would leave the request hanging). Resource: version 1, name 3, aliases 4.
 */
export function encodeAbsentVirtualHost(name: string): Buffer {
  const size = Buffer.byteLength(name);
  const content = fieldLength(1) + 2 * fieldLength(size);
  const target = Buffer.allocUnsafe(fieldLength(content));
  let at = writeFieldHeader(target, 0, 2, content);
  at = writeStringField(target, at, 1, '0', 1);
  at = writeStringField(target, at, 3, name, size);
  writeStringField(target, at, 4, name, size);
  return target;
}

/** A virtual host with the names that it was asked for by, as aliases: Envoy resumes the requests that wait for one of them. */
export function encodeAliased(resource: Resource, aliases: readonly string[]): Buffer {
  const size = measure(resource, 'delta');
  const sizes = aliases.map((alias) => Buffer.byteLength(alias));
  const content = sizes.reduce((sum, bytes) => sum + fieldLength(bytes), size.content);
  const target = Buffer.allocUnsafe(fieldLength(content));
  let at = writeResource(target, writeFieldHeader(target, 0, 2, content), resource, size);
  for (const [i, alias] of aliases.entries()) at = writeStringField(target, at, 4, alias, sizes[i] as number);
  return target;
}

/** What is a client's own in a response. */
export interface Trailer {
  readonly typeUrl: string;
  /** system_version_info (delta) or version_info. */
  readonly version: string;
  readonly nonce: string;
  /** Delta only. */
  readonly removed: readonly string[];
}

/** Version (1), type URL (4), nonce (5) and, for delta, the removed names (6): the fields are equally numbered in both messages. */
export function encodeTrailer(trailer: Trailer): Buffer {
  const version = Buffer.byteLength(trailer.version);
  const typeUrl = Buffer.byteLength(trailer.typeUrl);
  const nonce = Buffer.byteLength(trailer.nonce);
  let length = fieldLength(version) + fieldLength(typeUrl) + fieldLength(nonce);
  for (const name of trailer.removed) length += fieldLength(Buffer.byteLength(name));
  const target = Buffer.allocUnsafe(length);
  let at = writeStringField(target, 0, 1, trailer.version, version);
  at = writeStringField(target, at, 4, trailer.typeUrl, typeUrl);
  at = writeStringField(target, at, 5, trailer.nonce, nonce);
  for (const name of trailer.removed) at = writeStringField(target, at, 6, name, Buffer.byteLength(name));
  return target;
}

/** A ClusterLoadAssignment without endpoints: cluster_name is field 1. */
export function emptyAssignment(clusterName: string): Buffer {
  const length = Buffer.byteLength(clusterName);
  const target = Buffer.allocUnsafe(1 + varintLength(length) + length);
  target[0] = 0x0a;
  target.write(clusterName, writeVarint(target, 1, length), 'utf8');
  return target;
}
