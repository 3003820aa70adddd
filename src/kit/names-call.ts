/*
 * How an agent that answers its workload's DNS queries asks what names mean: one unary gRPC call on the control plane's TLS port, whose
 * messages are JSON. Whoever asks proves its identity by its certificate.
 */

export const namesPath = '/ostria.v1.NamesService/Resolve';

/** Most names of one call. */
export const mostNames = 100;

export interface NamesRequest {
  readonly workload: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** In lower case, without the final dot. */
  readonly names: readonly string[];
}

export interface NamesAnswer {
  /** Addresses of the names that the mesh answers for, IPv4 and IPv6; null: names that it leaves to others. */
  readonly addresses: Readonly<Record<string, readonly string[] | null>>;
}
