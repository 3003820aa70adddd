import type { DecidedBy, Flag, Outcome } from './explanation.ts';

/** How a way ends. */
export interface End {
  readonly outcome: Outcome;
  /** HTTP status that the caller gets, where a proxy decides it. */
  readonly status?: number;
  readonly grpcStatus?: number;
  /** Beside `grpcStatus`: the status that other clients get. */
  readonly httpStatus?: number;
  /** Half a sentence: what happens. */
  readonly reason: string;
  readonly by?: DecidedBy;
  readonly flags: readonly Flag[];
  /** The server waits for a TLS handshake and gets something else. */
  readonly awaitsTls?: true;
  /** It is delivered where no workload of the mesh is. */
  readonly leavesMesh?: true;
}

/** One of the ends that a request can come to. */
export interface Leaf {
  /** Share of the requests, 0 to 100. */
  readonly percent: number;
  /** Of the last proxy on the way. */
  readonly cluster: string;
  /** Cluster that the first proxy on the way chose, where it is not the last. */
  readonly chosen?: string;
  /** `namespace/name` of the last workload that it reaches. */
  readonly workload?: string;
  /** `address:port`. */
  readonly address?: string;
  readonly end: End;
}

/** Whether two ends are the same to whoever calls. */
export function sameEnd(a: End, b: End): boolean {
  return (
    a.outcome === b.outcome &&
    a.status === b.status &&
    a.grpcStatus === b.grpcStatus &&
    a.flags[0]?.code === b.flags[0]?.code
  );
}
