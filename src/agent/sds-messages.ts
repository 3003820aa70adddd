import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/*
 * The few fields of envoy.service.discovery.v3 and of the Secret message that the agent needs, by hand: the generated types of
 * these messages bring two hundred others with them. A test compares each with the generated ones.
 */

export const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

export type Secret =
  | { name: string; certificateChain: string; key: string }
  | { name: string; trustedRoots: string };

export interface DiscoveryRequest {
  resourceNames: string[];
  typeUrl: string;
  nonce: string;
  /** Message of `error_detail`: the last response was rejected. */
  error: string | undefined;
}

export interface DeltaRequest {
  typeUrl: string;
  subscribe: string[];
  unsubscribe: string[];
  nonce: string;
  error: string | undefined;
}

const bytesField = WireType.LengthDelimited;

export function encodeSecret(secret: Secret): Uint8Array {
  const writer = new BinaryWriter().tag(1, bytesField).string(secret.name);
  if ('key' in secret) {
    writer.tag(2, bytesField).fork();
    dataSource(writer, 1, secret.certificateChain);
    dataSource(writer, 2, secret.key);
    writer.join();
  } else {
    writer.tag(4, bytesField).fork();
    dataSource(writer, 1, secret.trustedRoots);
    writer.join();
  }
  return writer.finish();
}

/** DataSource.inline_bytes = 2. */
function dataSource(writer: BinaryWriter, field: number, text: string): void {
  writer.tag(field, bytesField).fork().tag(2, bytesField).bytes(Buffer.from(text)).join();
}

export function encodeResponse(response: {
  version: string;
  nonce: string;
  secrets: readonly Uint8Array[];
}): Uint8Array {
  const writer = new BinaryWriter().tag(1, bytesField).string(response.version);
  for (const secret of response.secrets) any(writer, 2, secret);
  return writer.tag(4, bytesField).string(SECRET_TYPE).tag(5, bytesField).string(response.nonce).finish();
}

export function encodeDeltaResponse(response: {
  nonce: string;
  secrets: readonly { name: string; version: string; bytes: Uint8Array }[];
  removed: readonly string[];
}): Uint8Array {
  const writer = new BinaryWriter();
  for (const secret of response.secrets) {
    writer.tag(2, bytesField).fork().tag(1, bytesField).string(secret.version);
    any(writer, 2, secret.bytes);
    writer.tag(3, bytesField).string(secret.name).join();
  }
  writer.tag(4, bytesField).string(SECRET_TYPE).tag(5, bytesField).string(response.nonce);
  for (const name of response.removed) writer.tag(6, bytesField).string(name);
  return writer.finish();
}

function any(writer: BinaryWriter, field: number, bytes: Uint8Array): void {
  writer
    .tag(field, bytesField)
    .fork()
    .tag(1, bytesField)
    .string(SECRET_TYPE)
    .tag(2, bytesField)
    .bytes(bytes)
    .join();
}

export function decodeRequest(bytes: Uint8Array): DiscoveryRequest {
  const request: DiscoveryRequest = { resourceNames: [], typeUrl: '', nonce: '', error: undefined };
  eachField(bytes, {
    3: (reader) => request.resourceNames.push(reader.string()),
    4: (reader) => {
      request.typeUrl = reader.string();
    },
    5: (reader) => {
      request.nonce = reader.string();
    },
    6: (reader) => {
      request.error = statusMessage(reader.bytes());
    },
  });
  return request;
}

export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const request: DeltaRequest = { typeUrl: '', subscribe: [], unsubscribe: [], nonce: '', error: undefined };
  eachField(bytes, {
    2: (reader) => {
      request.typeUrl = reader.string();
    },
    3: (reader) => request.subscribe.push(reader.string()),
    4: (reader) => request.unsubscribe.push(reader.string()),
    6: (reader) => {
      request.nonce = reader.string();
    },
    7: (reader) => {
      request.error = statusMessage(reader.bytes());
    },
  });
  return request;
}

/** google.rpc.Status.message = 2. */
function statusMessage(bytes: Uint8Array): string {
  let message = '';
  eachField(bytes, {
    2: (reader) => {
      message = reader.string();
    },
  });
  return message;
}

function eachField(bytes: Uint8Array, handlers: Record<number, (reader: BinaryReader) => void>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const handle = wireType === bytesField ? handlers[field] : undefined;
    if (handle) handle(reader);
    else reader.skip(wireType, field);
  }
}
