import { isIP } from 'node:net';
import { checkServerIdentity as checkIdentity, type PeerCertificate } from 'node:tls';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { retry } from '../../../kit/retry.ts';
import { StoreError } from '../store.ts';
import {
  decodeRange,
  decodeTxn,
  decodeWatch,
  encodeCompaction,
  encodeRange,
  encodeTxn,
  encodeWatchCreate,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
  type WatchResponse,
} from './wire.ts';

/** PEM texts. With neither `cert` nor `key` only the server proves who it is. */
export interface EtcdTls {
  /** Default: the system's authorities. */
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  /** The name the server's certificate must carry, where it is not the endpoint's host. */
  serverName?: string;
}

export interface EtcdClientOptions {
  /** `host:port` each; another is tried when one does not answer. */
  endpoints: readonly string[];
  /** Absent: plaintext. */
  tls?: EtcdTls;
  /** Bound of one request in ms (default 10,000). */
  timeoutMs?: number;
}

export type WatchStream = ClientDuplexStream<Uint8Array, WatchResponse>;

const identity = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What the store asks of etcd, with errors as `StoreError`. */
export class EtcdClient {
  readonly #clients: Client[];
  readonly #timeoutMs: number;
  readonly #endpoints: readonly string[];
  #current = 0;

  constructor(options: EtcdClientOptions) {
    if (options.endpoints.length === 0)
      throw new StoreError('RequestInvalid', 'etcd needs at least one endpoint, host:port');
    this.#endpoints = options.endpoints;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#clients = options.endpoints.map((endpoint) => connect(endpoint, options.tls));
  }

  /** Read only, so tried again while etcd is away, for a few seconds. */
  range(request: RangeRequest): Promise<RangeResponse> {
    const bytes = encodeRange(request);
    return retry(() => this.#unary('/etcdserverpb.KV/Range', bytes, decodeRange), {
      attempts: 5,
      initialMs: 50,
      maxMs: 1000,
      retryable: (error) => error instanceof StoreError && error.code === 'StoreUnavailable',
    });
  }

  /** Tried once: when the answer is lost nobody knows whether it was carried out. */
  txn(request: TxnRequest): Promise<TxnResponse> {
    return this.#unary('/etcdserverpb.KV/Txn', encodeTxn(request), decodeTxn);
  }

  async compact(revision: number): Promise<void> {
    await this.#unary('/etcdserverpb.KV/Compact', encodeCompaction(revision), () => undefined);
  }

  /** Events of [key, rangeEnd) from `startRevision` on. Errors of the stream are gRPC's: give them to `storeError`. */
  watch(key: string, rangeEnd: string, startRevision: number): WatchStream {
    const stream = this.#client().makeBidiStreamRequest(
      '/etcdserverpb.Watch/Watch',
      identity,
      decodeWatch,
      new Metadata(),
    );
    // Cancelling it is an error too, to nobody's interest; readers get theirs from the iteration.
    stream.on('error', () => {});
    stream.write(encodeWatchCreate(key, rangeEnd, startRevision));
    return stream;
  }

  /** What an error of gRPC or etcd means for the store's user. The next request goes to another endpoint if this one is away. */
  storeError(error: unknown): StoreError {
    if (error instanceof StoreError) return error;
    const { code, details = String(error) } = error as ServiceError;
    const options = { cause: error };
    if (details.includes('has been compacted'))
      return new StoreError('RevisionCompacted', `${details}; list again`, options);
    if (details.includes('future revision'))
      return new StoreError('RevisionInFuture', `${details}; list again`, options);
    if (
      details.includes('too large') ||
      (code === status.RESOURCE_EXHAUSTED && details.includes('larger than max'))
    ) {
      return new StoreError(
        'ObjectTooLarge',
        `${details}; make the object smaller, or raise etcd's --max-request-bytes`,
        options,
      );
    }
    if (details.includes('too many operations')) {
      return new StoreError(
        'RequestInvalid',
        `${details}; write fewer objects at once, or raise etcd's --max-txn-ops`,
        options,
      );
    }
    if (code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED) this.#current++;
    return new StoreError(
      'StoreUnavailable',
      `etcd at ${this.#endpoints.join(', ')}: ${details}; ${cure(code, details)}`,
      options,
    );
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #client(): Client {
    return this.#clients[this.#current % this.#clients.length] as Client;
  }

  #unary<T>(path: string, request: Uint8Array, decode: (bytes: Buffer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + this.#timeoutMs;
      this.#client().makeUnaryRequest(
        path,
        identity,
        decode,
        request,
        new Metadata(),
        { deadline },
        (error, value) => {
          if (error) reject(this.storeError(error));
          else resolve(value as T);
        },
      );
    });
  }
}

function connect(endpoint: string, tls: EtcdTls | undefined): Client {
  const { channel, serverName } = tls ? secure(endpoint, tls) : { channel: credentials.createInsecure() };
  return new Client(endpoint, channel, {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.min_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
    // etcd ends connections that ping oftener than every 5 s.
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 5000,
    // Two stores in one process must not share a connection that one of them closes.
    'grpc.use_local_subchannel_pool': 1,
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  });
}

function secure(endpoint: string, tls: EtcdTls): { channel: ChannelCredentials; serverName?: string } {
  const pem = (text: string | Buffer | undefined) => (text === undefined ? null : Buffer.from(text));
  const certificates = [pem(tls.ca), pem(tls.key), pem(tls.cert)] as const;
  const host = endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  if (tls.serverName === undefined && isIP(host) !== 0) {
    // TLS has no way to ask for an address by name, and Node refuses to: ask for any, and hold the answer to the address.
    const checkServerIdentity = (_name: string, certificate: PeerCertificate) =>
      checkIdentity(host, certificate);
    return {
      channel: credentials.createSsl(...certificates, { checkServerIdentity }),
      serverName: 'localhost',
    };
  }
  const channel = credentials.createSsl(...certificates);
  return tls.serverName === undefined ? { channel } : { channel, serverName: tls.serverName };
}

function cure(code: number | undefined, details: string): string {
  if (details.includes('space exceeded'))
    return 'compact and defragment etcd, or raise --quota-backend-bytes';
  if (code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED)
    return 'check the certificate and its rights';
  return 'check that etcd runs, and the endpoints and TLS files';
}
