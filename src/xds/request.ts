import { fromBinary } from '@bufbuild/protobuf';
import { NodeSchema } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { NodeInfo } from '../snapshot/proxy.ts';
import { WireError, WireReader } from './wire.ts';

/** A request of either protocol, reduced to what the server acts on. */
export interface XdsRequest {
  readonly node: NodeInfo | undefined;
  readonly typeUrl: string;
  /** The response that is acknowledged or rejected; '' for a request on the client's own account. */
  readonly nonce: string;
  /** Set when the response was rejected: what the client says of it. */
  readonly error: string | undefined;
  /** Delta: names to add. State of the world: every name that is wanted from now on. */
  readonly subscribe: readonly string[];
  /** Delta only. */
  readonly unsubscribe: readonly string[];
  /** Delta, first request of a type on a stream: what the client still holds, `names[i]` at `versions[i]`. */
  readonly claims: { readonly names: readonly string[]; readonly versions: readonly string[] };
}

interface Draft {
  node: NodeInfo | undefined;
  typeUrl: string;
  nonce: string;
  error: string | undefined;
  subscribe: string[];
  unsubscribe: string[];
  claims: { names: string[]; versions: string[] };
}

function emptyDraft(): Draft {
  return {
    node: undefined,
    typeUrl: '',
    nonce: '',
    error: undefined,
    subscribe: [],
    unsubscribe: [],
    claims: { names: [], versions: [] },
  };
}

/** envoy.service.discovery.v3.DeltaDiscoveryRequest. Throws WireError. */
export function decodeDeltaRequest(message: Buffer, wantNode: boolean): XdsRequest {
  const reader = new WireReader(message);
  const draft = emptyDraft();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a && wantNode) draft.node = decodeNode(reader.bytes());
    else if (tag === 0x12) draft.typeUrl = reader.string();
    else if (tag === 0x1a) draft.subscribe.push(reader.string());
    else if (tag === 0x22) draft.unsubscribe.push(reader.string());
    else if (tag === 0x2a) readClaim(reader.message(), draft.claims);
    else if (tag === 0x32) draft.nonce = reader.string();
    else if (tag === 0x3a) draft.error = readStatus(reader.message());
    else if (tag === 0x42) draft.subscribe.push(readLocator(reader.message()));
    else if (tag === 0x4a) draft.unsubscribe.push(readLocator(reader.message()));
    else reader.skip(tag);
  }
  return draft;
}

/** envoy.service.discovery.v3.DiscoveryRequest. Throws WireError. */
export function decodeSotwRequest(message: Buffer, wantNode: boolean): XdsRequest {
  const reader = new WireReader(message);
  const draft = emptyDraft();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x12 && wantNode) draft.node = decodeNode(reader.bytes());
    else if (tag === 0x1a) draft.subscribe.push(reader.string());
    else if (tag === 0x22) draft.typeUrl = reader.string();
    else if (tag === 0x2a) draft.nonce = reader.string();
    else if (tag === 0x32) draft.error = readStatus(reader.message());
    else if (tag === 0x3a) draft.subscribe.push(readLocator(reader.message()));
    else reader.skip(tag);
  }
  return draft;
}

function readClaim(reader: WireReader, claims: Draft['claims']): void {
  let name = '';
  let version = '';
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) version = reader.string();
    else reader.skip(tag);
  }
  claims.names.push(name);
  claims.versions.push(version);
}

/** google.rpc.Status: an empty message is still an error, the client gave no reason. */
function readStatus(reader: WireReader): string {
  let text = '';
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x12) text = reader.string();
    else reader.skip(tag);
  }
  return text === '' ? 'the client gave no reason' : text;
}

/** ResourceLocator: dynamic parameters are not used here, a resource is its name. */
function readLocator(reader: WireReader): string {
  let name = '';
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else reader.skip(tag);
  }
  return name;
}

function decodeNode(bytes: Buffer): NodeInfo {
  try {
    const node = fromBinary(NodeSchema, bytes, { readUnknownFields: false });
    return {
      id: node.id,
      cluster: node.cluster,
      metadata: node.metadata ?? {},
      ...(node.locality
        ? {
            locality: {
              region: node.locality.region,
              zone: node.locality.zone,
              subZone: node.locality.subZone,
            },
          }
        : {}),
    };
  } catch (error) {
    throw new WireError(
      `the node of the request is malformed: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
