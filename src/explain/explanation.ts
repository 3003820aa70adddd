import type { Origin } from '../config/origin.ts';
import type { Position } from '../config/source-map.ts';

/** The part of the way at which something was decided, in the order in which a request meets them. */
export type Stage =
  | 'capture'
  | 'listener'
  | 'filter-chain'
  | 'authentication'
  | 'authorization'
  | 'external-authorization'
  | 'rate-limit'
  | 'virtual-host'
  | 'route'
  | 'redirect'
  | 'direct-response'
  | 'fault'
  | 'rewrite'
  | 'timeout'
  | 'retries'
  | 'mirror'
  | 'cluster'
  | 'endpoints'
  | 'mtls'
  | 'application';

/** The object and field that decided, and where it stands. */
export interface DecidedBy extends Origin {
  readonly position?: Position;
  /** What the field means, in plain words, from the feature that it belongs to. */
  readonly words?: string;
}

/** What came close, and why it was not taken. */
export interface Lost {
  readonly what: string;
  readonly why: string;
  readonly by?: DecidedBy;
}

/** Whose proxy decides. */
export interface DecisionPlace {
  /** `namespace/name`. */
  readonly workload: string;
  /** `caller`: no proxy; the others are whose proxy it is. */
  readonly role: 'caller' | 'client' | 'gateway' | 'server';
}

export interface Decision {
  readonly at: DecisionPlace;
  readonly stage: Stage;
  /** The resource or policy, as Envoy knows it. */
  readonly name?: string;
  /** In plain words. */
  readonly what: string;
  readonly by?: DecidedBy;
  readonly lost: readonly Lost[];
}

/** Where a request may end up. */
export interface Destination {
  /** Share of the requests, 0 to 100. */
  readonly percent: number;
  readonly cluster: string;
  /** `namespace/name`; absent: no workload of the mesh. */
  readonly workload?: string;
  /** `address:port`; absent: found by name, or where the request was going anyway. */
  readonly address?: string;
  /** What becomes of it there. */
  readonly outcome: Outcome;
  /** HTTP status, where a proxy decides it. */
  readonly status?: number;
  /** What decided that. */
  readonly by?: DecidedBy;
}

/** One of Envoy's response flags. */
export interface Flag {
  /** `NR`, `UH`, `UF`, `RBAC`, … */
  readonly code: string;
  readonly meaning: string;
  /** How to mend it. */
  readonly mend?: string;
}

export type Outcome =
  /** The destination gets it, and answers as it will. */
  | 'delivered'
  /** A proxy answers as the configuration says: redirect, direct response, fault. */
  | 'answered'
  /** A policy refuses it. */
  | 'denied'
  /** It gets nowhere. */
  | 'fails'
  /** It leaves the mesh for a host or port that nothing in the mesh declares: whether anything answers there is not known. */
  | 'unknown';

export interface Verdict {
  readonly outcome: Outcome;
  /** One sentence. */
  readonly summary: string;
  /** HTTP status, where a proxy decides it. */
  readonly status?: number;
  readonly destinations: readonly Destination[];
  /** What decided. */
  readonly by?: DecidedBy;
  readonly flags: readonly Flag[];
}

/** The answer: each decision in order, and what comes of them. */
export interface Explanation {
  readonly question: {
    /** `namespace/name`, or the gateway that the client outside calls. */
    readonly from: string;
    readonly method?: string;
    readonly url: string;
    /** What the URL's host means to the caller. */
    readonly host?: string;
  };
  readonly decisions: readonly Decision[];
  readonly verdict: Verdict;
  /** What was taken for granted. */
  readonly assumptions: readonly string[];
}
