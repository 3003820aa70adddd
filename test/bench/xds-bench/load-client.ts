import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { asBuffer, WireReader } from '../../../src/xds/wire.ts';

/**
 * A delta ADS client that asks as Envoy does, and holds what it is told as name → version. It is lean: 500 of them run in one
 * process beside what is measured, so bodies are looked into once per version, for all clients together.
 */

const types = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  virtualHost: 'type.googleapis.com/envoy.config.route.v3.VirtualHost',
} as const;

export type LoadType = keyof typeof types;

export interface LoadResource {
  readonly name: string;
  readonly version: string;
  readonly body: Buffer;
}

export interface LoadResponse {
  readonly type: LoadType;
  readonly resources: readonly LoadResource[];
  readonly removed: readonly string[];
}

/** What a body tells, by type and version, shared by all clients of the process. */
const routeNamesOf = new Map<string, readonly string[]>();
const isEdsOf = new Map<string, boolean>();
const hasVhdsOf = new Map<string, boolean>();

function memo<T>(known: Map<string, T>, key: string, compute: () => T): T {
  const value = known.get(key);
  if (value !== undefined) return value;
  const made = compute();
  known.set(key, made);
  return made;
}

export class LoadClient {
  readonly id: string;
  readonly held = new Map<LoadType, Map<string, string>>();
  bytes = 0;
  responses = 0;
  /** Time of the last acknowledgement sent, ms (performance.now of this process). */
  lastAckAt = 0;
  /** Called after a response is acknowledged. */
  onResponse: (client: LoadClient, response: LoadResponse) => void = () => undefined;
  error: string | undefined;
  readonly #metadata: Readonly<Record<string, unknown>>;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #needed = 5;
  #inMessage = false;
  #isFirst = true;
  readonly #asked = new Set<LoadType>();
  readonly #wantedRoutes = new Set<string>();

  constructor(
    url: string,
    id: string,
    options: {
      readonly metadata: Readonly<Record<string, unknown>>;
      /** A client certificate, PEM. */
      readonly key?: string;
      readonly cert?: string;
    },
  ) {
    this.id = id;
    this.#metadata = options.metadata;
    this.#session = connect(url, {
      rejectUnauthorized: false,
      ...(options.key && options.cert ? { key: options.key, cert: options.cert } : {}),
      settings: { initialWindowSize: 16 * 1024 * 1024, maxFrameSize: 16_384 },
    });
    this.#session.on('connect', () => this.#session.setLocalWindowSize(24 * 1024 * 1024));
    this.#session.on('error', (error) => {
      this.error = String(error);
    });
    this.#stream = this.#session.request({
      ':method': 'POST',
      ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#stream.on('error', (error) => {
      this.error = String(error);
    });
    this.#stream.on('trailers', (headers) => {
      this.error = `ended: ${headers['grpc-status']} ${headers['grpc-message'] ?? ''}`;
    });
    this.#request('cluster');
  }

  close(): void {
    this.#session.destroy();
  }

  #request(
    type: LoadType,
    options: { subscribe?: readonly string[]; unsubscribe?: readonly string[]; nonce?: string } = {},
  ): void {
    this.#asked.add(type);
    const parts = [
      stringField(2, types[type]),
      ...(options.subscribe ?? []).map((name) => stringField(3, name)),
      ...(options.unsubscribe ?? []).map((name) => stringField(4, name)),
      ...(options.nonce === undefined ? [] : [stringField(6, options.nonce)]),
    ];
    if (this.#isFirst) parts.unshift(bytesField(1, encodeNode(this.id, this.#metadata)));
    this.#isFirst = false;
    const message = Buffer.concat(parts);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([prefix, message]));
  }

  #receive(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= this.#needed) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      const part = all.subarray(0, this.#needed);
      this.#chunks = all.length > this.#needed ? [all.subarray(this.#needed)] : [];
      this.#buffered -= part.length;
      this.#inMessage = !this.#inMessage;
      this.#needed = this.#inMessage ? part.readUInt32BE(1) : 5;
      if (!this.#inMessage) this.#take(part);
    }
  }

  #take(message: Buffer): void {
    this.responses++;
    const { response, nonce } = decodeResponse(message);
    const held = this.held.get(response.type) ?? new Map<string, string>();
    this.held.set(response.type, held);
    const added = response.resources.filter((resource) => !held.has(resource.name));
    for (const resource of response.resources) held.set(resource.name, resource.version);
    for (const name of response.removed) held.delete(name);
    this.#request(response.type, { nonce });
    this.lastAckAt = performance.now();
    this.#follow(response, added);
    this.onResponse(this, response);
  }

  /** What Envoy asks for next: endpoints of new clusters, listeners after clusters, routes of listeners, hosts of routes. */
  #follow(response: LoadResponse, added: readonly LoadResource[]): void {
    if (response.type === 'cluster') {
      const eds = added.filter((resource) => memo(isEdsOf, resource.version, () => isEds(resource.body)));
      const gone = response.removed.length > 0 && this.#asked.has('endpoints') ? response.removed : [];
      for (const name of gone) this.held.get('endpoints')?.delete(name);
      if (eds.length > 0 || gone.length > 0)
        this.#request('endpoints', { subscribe: eds.map((resource) => resource.name), unsubscribe: gone });
      if (!this.#asked.has('listener')) this.#request('listener');
    } else if (response.type === 'listener') {
      const names = response.resources.flatMap((resource) =>
        memo(routeNamesOf, resource.version, () => routeNames(resource.body)),
      );
      const wanted = [...new Set(names)].filter((name) => !this.#wantedRoutes.has(name));
      for (const name of wanted) this.#wantedRoutes.add(name);
      if (wanted.length > 0) this.#request('route', { subscribe: wanted });
    } else if (response.type === 'route' && !this.#asked.has('virtualHost')) {
      const vhds = response.resources.some((resource) =>
        memo(hasVhdsOf, resource.version, () => holdsField(resource.body, 9)),
      );
      if (vhds) this.#request('virtualHost');
    }
  }
}

function decodeResponse(message: Buffer): { response: LoadResponse; nonce: string } {
  const reader = new WireReader(message);
  const resources: LoadResource[] = [];
  const removed: string[] = [];
  let typeUrl = '';
  let nonce = '';
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x12) resources.push(decodeResource(reader.message()));
    else if (tag === 0x22) typeUrl = reader.string();
    else if (tag === 0x2a) nonce = reader.string();
    else if (tag === 0x32) removed.push(reader.string());
    else reader.skip(tag);
  }
  const type = (Object.keys(types) as LoadType[]).find((key) => types[key] === typeUrl);
  if (!type) throw new Error(`a response of the unknown type ${typeUrl}`);
  return { response: { type, resources, removed }, nonce };
}

function decodeResource(reader: WireReader): LoadResource {
  let name = '';
  let version = '';
  let body: Buffer = Buffer.alloc(0);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x1a) name = reader.string();
    else if (tag === 0x0a) version = reader.string();
    else if (tag === 0x12) body = decodeAny(reader.message());
    else reader.skip(tag);
  }
  return { name, version, body };
}

function decodeAny(reader: WireReader): Buffer {
  let value: Buffer = Buffer.alloc(0);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x12) value = reader.bytes();
    else reader.skip(tag);
  }
  return value;
}

/** Cluster.type (field 2) is EDS (3). */
function isEds(cluster: Buffer): boolean {
  const reader = new WireReader(cluster);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x10) return reader.varint() === 3;
    reader.skip(tag);
  }
  return false;
}

function holdsField(message: Buffer, field: number): boolean {
  const reader = new WireReader(asBuffer(message));
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >>> 3 === field) return true;
    reader.skip(tag);
  }
  return false;
}

const hcmType =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** Listener.filter_chains (3) and default_filter_chain (25) → filters (3) → typed_config (4) → HCM.rds (3).route_config_name (2). */
function routeNames(listener: Buffer): string[] {
  const names: string[] = [];
  for (const chain of [...fieldsOf(listener, 3), ...fieldsOf(listener, 25)])
    for (const filter of fieldsOf(chain, 3))
      for (const config of fieldsOf(filter, 4)) {
        if (fieldsOf(config, 1)[0]?.toString() !== hcmType) continue;
        for (const hcm of fieldsOf(config, 2))
          for (const rds of fieldsOf(hcm, 3)) names.push(fieldsOf(rds, 2)[0]?.toString() ?? '');
      }
  return names.filter((name) => name !== '');
}

function fieldsOf(message: Buffer, field: number): Buffer[] {
  const reader = new WireReader(message);
  const found: Buffer[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === field * 8 + 2) found.push(reader.bytes());
    else reader.skip(tag);
  }
  return found;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

function stringField(field: number, text: string): Buffer {
  return bytesField(field, Buffer.from(text));
}

/** Node: id 1, cluster 2, metadata 3 (Struct of strings and of one level of string maps). */
function encodeNode(id: string, metadata: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.concat([stringField(1, id), stringField(2, 'bench'), bytesField(3, encodeStruct(metadata))]);
}

function encodeStruct(struct: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.concat(
    Object.entries(struct).map(([key, value]) => {
      const encoded =
        typeof value === 'object' && value !== null
          ? bytesField(5, encodeStruct(value as Record<string, unknown>))
          : stringField(3, String(value));
      return bytesField(1, Buffer.concat([stringField(1, key), bytesField(2, encoded)]));
    }),
  );
}
