import { create, toBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { decodeRequest } from './admit-proxy.ts';
import type { AuthenticationResult, Credentials, ProxyIdentity } from './authenticate.ts';
import type { GrpcStream } from './grpc-stream.ts';
import type { XdsRequest } from './request.ts';

/**
 * Istio's debug types, which its command line asks for on the xDS port: `istio.io/debug` with the name of a page (and its query) as
 * the resource's name, `istio.io/debug/syncz` and `istio.io/debug/config_dump`.
 */
const debugType = 'istio.io/debug';

export function isDebugType(typeUrl: string): boolean {
  return typeUrl === debugType || typeUrl.startsWith(`${debugType}/`);
}

export interface DebugResource {
  readonly name: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Who may ask, and what is answered. Given by the composition root. */
export interface DebugService {
  /** Whom the caller proved to be. Nobody is answered without proof, on whichever listener. */
  authenticate(credentials: Credentials): AuthenticationResult | Promise<AuthenticationResult>;
  /** Throws GrpcError. */
  answer(
    typeUrl: string,
    names: readonly string[],
    identity: ProxyIdentity,
  ): readonly DebugResource[] | Promise<readonly DebugResource[]>;
  /** What a response says of the control plane: Istio's clients read JSON in it. */
  readonly controlPlane: string;
}

/** Requests of one call that may wait for their answers. */
const maxWaiting = 16;

/** A call that asks for debug types: each request is answered once. It is no proxy, and nothing of it is kept. */
export class DebugStream {
  readonly #service: DebugService;
  readonly #transport: GrpcStream;
  readonly #delta: boolean;
  readonly #identity: Promise<ProxyIdentity>;
  #release: (() => void) | undefined;
  #closed = false;
  readonly #nonces = new Set<string>();
  #waiting = 0;

  constructor(service: DebugService, credentials: Credentials, transport: GrpcStream, delta: boolean) {
    this.#service = service;
    this.#transport = transport;
    this.#delta = delta;
    this.#identity = this.#identify(credentials);
    this.#identity.catch((error: unknown) => transport.fail(error));
  }

  onMessage(message: Buffer): void {
    const request = decodeRequest(message, this.#delta, false);
    // An acknowledgement asks for nothing.
    if (this.#nonces.delete(request.nonce)) return;
    if (!isDebugType(request.typeUrl))
      throw new GrpcError(
        grpcStatus.invalidArgument,
        'a call that asks for debug types may ask for those alone',
      );
    if (++this.#waiting > maxWaiting)
      throw new GrpcError(grpcStatus.resourceExhausted, 'too many requests that wait for their answers');
    this.#answer(request).then(
      () => this.#waiting--,
      (error: unknown) => this.#transport.fail(error),
    );
  }

  async #answer({ typeUrl, subscribe }: XdsRequest): Promise<void> {
    const resources = await this.#service.answer(typeUrl, subscribe, await this.#identity);
    const nonce = `debug-${this.#nonces.size + 1}-${Date.now().toString(36)}`;
    if (this.#nonces.size < maxWaiting) this.#nonces.add(nonce);
    const controlPlane = { identifier: this.#service.controlPlane };
    const versionInfo = String(Date.now());
    const bytes = this.#delta
      ? toBinary(
          DeltaDiscoveryResponseSchema,
          create(DeltaDiscoveryResponseSchema, {
            typeUrl,
            nonce,
            controlPlane,
            systemVersionInfo: versionInfo,
            resources: resources.map(({ name, typeUrl: type, value }) => ({
              name,
              resource: { typeUrl: type, value },
            })),
          }),
        )
      : toBinary(
          DiscoveryResponseSchema,
          create(DiscoveryResponseSchema, {
            typeUrl,
            nonce,
            controlPlane,
            versionInfo,
            resources: resources.map(({ typeUrl: type, value }) => ({ typeUrl: type, value })),
          }),
        );
    this.#transport.send([], 0, Buffer.from(bytes));
  }

  /** The call is over. */
  close(): void {
    this.#closed = true;
    this.#release?.();
    this.#release = undefined;
  }

  async #identify(credentials: Credentials): Promise<ProxyIdentity> {
    const result = await this.#service.authenticate(credentials);
    if (!result.ok)
      throw new GrpcError(
        result.exhausted ? grpcStatus.resourceExhausted : grpcStatus.unauthenticated,
        result.error,
      );
    this.#release = result.release;
    if (this.#closed) this.close();
    if (!result.identity)
      throw new GrpcError(
        grpcStatus.unauthenticated,
        'debug types are told to authenticated callers alone: use the TLS port, with a certificate of the mesh or a service account token',
      );
    return result.identity;
  }
}
