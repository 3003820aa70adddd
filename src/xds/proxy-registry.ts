import type { MeshProxy } from '../snapshot/proxy.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import type { XdsStream } from './xds-stream.ts';

/** A proxy that the source computes for, and the streams that it serves. */
export interface Registration {
  /** The node id; a number is appended while another proxy of the same id but other attributes is connected. */
  readonly id: string;
  readonly proxy: MeshProxy;
  readonly streams: Set<XdsStream>;
}

/**
 * Connects proxies to the source, once however many streams they open. One node id may be there twice: during a hot restart,
 * or when a stream's death has not been noticed yet. Equal ones share; a different one is told apart.
 */
export class ProxyRegistry {
  readonly #source: ResourceSource;
  readonly #byId = new Map<string, Registration & { readonly fingerprint: string }>();

  constructor(source: ResourceSource) {
    this.#source = source;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Registration | undefined {
    return this.#byId.get(id);
  }

  /** Lets the source get ready for a proxy without blocking the others; `acquire` is quick afterwards. */
  async prepare(proxy: MeshProxy): Promise<void> {
    if (!this.#byId.has(proxy.id)) await this.#source.prepare?.(proxy);
  }

  acquire(proxy: MeshProxy, stream: XdsStream): Registration {
    const fingerprint = JSON.stringify(proxy);
    for (let copy = 1; ; copy++) {
      const id = copy === 1 ? proxy.id : `${proxy.id}#${copy}`;
      const known = this.#byId.get(id);
      if (known && known.fingerprint !== fingerprint) continue;
      const registration = known ?? this.#connect({ ...proxy, id }, fingerprint);
      registration.streams.add(stream);
      return registration;
    }
  }

  release(registration: Registration, stream: XdsStream): void {
    registration.streams.delete(stream);
    if (registration.streams.size > 0) return;
    this.#byId.delete(registration.id);
    this.#source.disconnect(registration.id);
  }

  #connect(proxy: MeshProxy, fingerprint: string): Registration {
    this.#source.connect(Object.freeze(proxy));
    const registration = { id: proxy.id, proxy, streams: new Set<XdsStream>(), fingerprint };
    this.#byId.set(proxy.id, registration);
    return registration;
  }
}
