import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { create, fromBinary, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { NodeSchema } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';

const ads = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

export interface NodeOptions {
  readonly id?: string;
  readonly metadata?: Record<string, JsonValue>;
}

export interface RequestOptions {
  readonly node?: NodeOptions;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly versions?: Readonly<Record<string, string>>;
  readonly nonce?: string;
  readonly error?: string;
}

export interface CallOptions {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly tls?: ConnectionOptions;
  /** Bytes that may be in flight before the client reads; small for a slow reader. */
  readonly window?: number;
  /** Opens the call on another client's connection. */
  readonly session?: ClientHttp2Session;
}

/** What every kind of fake client shares: a call, frames, waiting. */
class Call<Response> {
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  readonly responses: Response[] = [];
  readonly trailers: Promise<{ status: string | undefined; message: string | undefined }>;
  bytesRead = 0;
  onResponse: ((response: Response) => void) | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #taken = 0;

  constructor(url: string, path: string, options: CallOptions, decode: (bytes: Buffer) => Response) {
    this.session = options.session ?? openSession(url, options);
    this.stream = this.session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...options.headers,
      },
      { endStream: false },
    );
    this.trailers = new Promise((resolve) => {
      const seen = (headers: Record<string, unknown>): void => {
        if (headers['grpc-status'] === undefined) return;
        resolve({ status: String(headers['grpc-status']), message: String(headers['grpc-message'] ?? '') });
      };
      this.stream.on('response', seen);
      this.stream.on('trailers', seen);
      this.stream.on('close', () => resolve({ status: undefined, message: undefined }));
    });
    this.stream.on('error', () => undefined);
    this.stream.on('data', (chunk: Buffer) => this.#receive(chunk, decode));
  }

  #receive(chunk: Buffer, decode: (bytes: Buffer) => Response): void {
    this.bytesRead += chunk.length;
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    while (this.#buffer.length >= 5) {
      const length = this.#buffer.readUInt32BE(1);
      if (this.#buffer.length < 5 + length) return;
      const response = decode(this.#buffer.subarray(5, 5 + length));
      this.#buffer = this.#buffer.subarray(5 + length);
      this.responses.push(response);
      this.onResponse?.(response);
    }
  }

  write(message: Uint8Array): void {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.stream.write(Buffer.concat([prefix, message]));
  }

  /** The next response that was not taken yet. Rejects after half a minute. */
  async next(timeoutMs = 30_000): Promise<Response> {
    const index = this.#taken;
    await until(() => this.responses.length > index, timeoutMs, 'no response came');
    this.#taken++;
    return this.responses[index] as Response;
  }

  /** Asserts that nothing comes for a while. */
  async silence(ms = 60): Promise<void> {
    await sleep(ms);
    if (this.responses.length > this.#taken)
      throw new Error(`a response came that was not expected: ${describe(this.responses[this.#taken])}`);
  }

  async close(): Promise<void> {
    this.stream.close();
    this.session.destroy();
    await sleep(5);
  }
}

function openSession(url: string, options: CallOptions): ClientHttp2Session {
  const session = connect(url, {
    ...options.tls,
    settings: { initialWindowSize: options.window ?? 16 * 1024 * 1024 },
  });
  session.on('error', () => undefined);
  session.setMaxListeners(0);
  if (options.window === undefined)
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(64 * 1024 * 1024);
    });
  return session;
}

export class DeltaClient extends Call<DeltaDiscoveryResponse> {
  constructor(port: number, options: CallOptions = {}) {
    super(
      `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
      options.path ?? `${ads}/DeltaAggregatedResources`,
      options,
      (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
    );
  }

  request(typeUrl: string, options: RequestOptions = {}): void {
    const message = create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      resourceNamesSubscribe: [...(options.subscribe ?? [])],
      resourceNamesUnsubscribe: [...(options.unsubscribe ?? [])],
      initialResourceVersions: { ...options.versions },
      responseNonce: options.nonce ?? '',
    });
    if (options.node) message.node = makeNode(options.node);
    if (options.error !== undefined)
      message.errorDetail = { $typeName: 'google.rpc.Status', code: 13, message: options.error, details: [] };
    this.write(toBinary(DeltaDiscoveryRequestSchema, message));
  }

  ack(response: DeltaDiscoveryResponse, options: RequestOptions = {}): void {
    this.request(response.typeUrl, { ...options, nonce: response.nonce });
  }

  nack(response: DeltaDiscoveryResponse, error: string): void {
    this.request(response.typeUrl, { nonce: response.nonce, error });
  }

  /** Takes the next response, acknowledges it, and gives it in short. */
  async take(): Promise<Brief> {
    const response = await this.next();
    this.ack(response);
    return brief(response);
  }
}

export class SotwClient extends Call<DiscoveryResponse> {
  constructor(port: number, options: CallOptions = {}) {
    super(
      `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
      options.path ?? `${ads}/StreamAggregatedResources`,
      options,
      (bytes) => fromBinary(DiscoveryResponseSchema, bytes),
    );
  }

  request(typeUrl: string, options: RequestOptions & { version?: string } = {}): void {
    const message = create(DiscoveryRequestSchema, {
      typeUrl,
      resourceNames: [...(options.subscribe ?? [])],
      responseNonce: options.nonce ?? '',
      versionInfo: options.version ?? '',
    });
    if (options.node) message.node = makeNode(options.node);
    if (options.error !== undefined)
      message.errorDetail = { $typeName: 'google.rpc.Status', code: 13, message: options.error, details: [] };
    this.write(toBinary(DiscoveryRequestSchema, message));
  }

  ack(response: DiscoveryResponse, subscribe: readonly string[] = []): void {
    const { typeUrl, nonce, versionInfo } = response;
    this.request(typeUrl, { nonce, version: versionInfo, subscribe });
  }
}

/** A delta response in few words. */
export interface Brief {
  readonly type: string;
  readonly names: readonly string[];
  readonly removed: readonly string[];
}

export function brief(response: DeltaDiscoveryResponse): Brief {
  return {
    type: response.typeUrl.slice(response.typeUrl.lastIndexOf('.') + 1),
    names: response.resources.map((resource) => resource.name),
    removed: response.removedResources,
  };
}

export const sidecarNode: NodeOptions = { id: 'sidecar~10.0.0.1~web-1.default~default.svc.cluster.local' };

function makeNode(options: NodeOptions) {
  return create(NodeSchema, {
    id: options.id ?? (sidecarNode.id as string),
    cluster: 'test',
    metadata: { ...options.metadata },
  });
}

export async function until(
  condition: () => boolean,
  timeoutMs = 30_000,
  message = 'the condition did not become true',
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(message);
    await sleep(2);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_key, part) =>
    part instanceof Uint8Array ? `${part.length} bytes` : part,
  ).slice(0, 400);
}
