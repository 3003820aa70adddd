import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/*
 * The few fields of envoy.service.discovery.v3 and of the Secret message that the agent needs, by hand: the generated types of
 * these messages bring two hundred others with them. A test compares each with the generated ones.
 */

export const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/** Each trust domain has roots of its own, so that those of one cannot vouch for another. */
const SPIFFE_VALIDATOR =
  'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';

export type Secret = { name: string; certificateChain: string; key: string } | TrustSecret;

/** Peers are trusted by `trustedRoots`, or by the roots of their trust domain where `domains` are given. PEM texts. */
export interface TrustSecret {
  name: string;
  trustedRoots: string;
  /** Lists of revoked certificates. Not minded where there are `domains`. */
  crl?: string;
  domains?: readonly { trustDomain: string; roots: string }[];
}

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
  } else encodeTrust(writer.tag(4, bytesField).fork(), secret).join();
  return writer.finish();
}

/** CertificateValidationContext: trusted_ca = 1, crl = 7, custom_validator_config = 12, only_verify_leaf_cert_crl = 14. */
function encodeTrust(writer: BinaryWriter, { trustedRoots, crl, domains = [] }: TrustSecret): BinaryWriter {
  if (domains.length > 0) {
    writer.tag(12, bytesField).fork().tag(1, bytesField).string('envoy.tls.cert_validator.spiffe');
    writer.tag(2, bytesField).fork().tag(1, bytesField).string(SPIFFE_VALIDATOR);
    writer.tag(2, bytesField).fork();
    for (const { trustDomain, roots } of domains) {
      writer.tag(1, bytesField).fork().tag(1, bytesField).string(trustDomain);
      dataSource(writer, 2, roots);
      writer.join();
    }
    return writer.join().join().join();
  }
  dataSource(writer, 1, trustedRoots);
  if (crl) {
    dataSource(writer, 7, crl);
    writer.tag(14, WireType.Varint).bool(true);
  }
  return writer;
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

/** DiscoveryRequest of a client: version_info = 1, node = 2 (id = 1), resource_names = 3, type_url = 4, response_nonce = 5. */
export function encodeSecretsRequest(request: {
  /** Node id, on the first request of a stream. */
  node: string;
  names: readonly string[];
  version: string;
  nonce: string;
}): Uint8Array {
  const writer = new BinaryWriter().tag(1, bytesField).string(request.version);
  if (request.node !== '') writer.tag(2, bytesField).fork().tag(1, bytesField).string(request.node).join();
  for (const name of request.names) writer.tag(3, bytesField).string(name);
  return writer.tag(4, bytesField).string(SECRET_TYPE).tag(5, bytesField).string(request.nonce).finish();
}

/** The certificates of a DiscoveryResponse; other secrets are left out. */
export function decodeSecrets(bytes: Uint8Array): {
  version: string;
  nonce: string;
  secrets: { name: string; certificateChain: string; key: string }[];
} {
  const response = { version: '', nonce: '', secrets: [] as ReturnType<typeof decodeSecrets>['secrets'] };
  eachField(bytes, {
    1: (reader) => {
      response.version = reader.string();
    },
    2: (reader) =>
      eachField(reader.bytes(), {
        2: (any) => {
          const secret = decodeCertificate(any.bytes());
          if (secret.key !== '') response.secrets.push(secret);
        },
      }),
    5: (reader) => {
      response.nonce = reader.string();
    },
  });
  return response;
}

/** Secret: name = 1, tls_certificate = 2 (certificate_chain = 1, private_key = 2). */
function decodeCertificate(bytes: Uint8Array): { name: string; certificateChain: string; key: string } {
  const secret = { name: '', certificateChain: '', key: '' };
  eachField(bytes, {
    1: (reader) => {
      secret.name = reader.string();
    },
    2: (reader) =>
      eachField(reader.bytes(), {
        1: (chain) => {
          secret.certificateChain = decodeDataSource(chain.bytes());
        },
        2: (key) => {
          secret.key = decodeDataSource(key.bytes());
        },
      }),
  });
  return secret;
}

/** inline_bytes = 2, inline_string = 3. */
function decodeDataSource(bytes: Uint8Array): string {
  let text = '';
  const read = (reader: BinaryReader): void => {
    text = Buffer.from(reader.bytes()).toString('utf8');
  };
  eachField(bytes, { 2: read, 3: read });
  return text;
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
