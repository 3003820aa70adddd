import type { Origin } from '../config/origin.ts';

/** A virtual host, encoded without its name, which differs between one that travels alone and one in its route configuration. */
export interface HostBody {
  readonly name: string;
  readonly body: Uint8Array;
  readonly version: string;
  readonly clusters: readonly string[];
  readonly origins: readonly Origin[];
}
