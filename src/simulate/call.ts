import type { Origin } from '../config/origin.ts';
import type { EndpointChance } from './endpoints.ts';
import type { Alternative } from './why.ts';

/** One connection with one request (HTTP) or just its first bytes (TCP), as it reaches a proxy. */
export interface Call {
  /** Original destination. */
  address: string;
  port: number;
  /** `inbound`: redirected to the inbound capture listener; `outbound`: from the application; `gateway`/`direct`: as it comes. */
  mode: 'inbound' | 'outbound' | 'direct';
  protocol: 'http' | 'http2' | 'tcp';
  tls: 'plaintext' | 'tls' | 'mtls';
  sni?: string;
  /** What the client offers, best first. */
  alpn?: string | readonly string[];
  /** Who opened the connection. */
  sourceAddress?: string;
  /** URI that the client's certificate proves, such as `spiffe://cluster.local/ns/shop/sa/web`. Counts with `mtls` only. */
  identity?: string;
  /** HTTP. The Host or `:authority`, with its port where the client sends one. */
  host?: string;
  /** With query. Default `/`. */
  path?: string;
  /** Default GET. */
  method?: string;
  /** Names in lower case. Tokens are where a client puts them, mostly in `authorization`. */
  headers?: Readonly<Record<string, string>>;
  /** Which of a route's destinations of positive weight is taken, where there are several. Default 0. */
  destination?: number;
  /** Claims of the token that the request carries, once it was verified. Without `iss` and `aud`, any issuer's rule accepts it. */
  claims?: Readonly<Record<string, unknown>>;
}

/** Whether a signature is the key's; undefined: the algorithm or the key is of no use here. */
export type SignatureVerifier = (signed: {
  /** Such as `RS256`. */
  readonly algorithm: string;
  /** A JSON Web Key. */
  readonly key: Readonly<Record<string, unknown>>;
  /** Header and payload as they travel. */
  readonly text: string;
  readonly signature: Uint8Array;
}) => boolean | undefined;

/** What a walk cannot know by itself. */
export interface SimulationOptions {
  /** Milliseconds since 1970, for tokens that expire. Default: no token is too old or too young. */
  readonly now?: number;
  /** Default: every signature by a key of the issuer's is taken for good, and `assumed` says so. */
  readonly verify?: SignatureVerifier;
  /** What external authorizers answer, by provider, or by host where a route asks. Default: they allow. */
  readonly verdicts?: Readonly<Record<string, 'allow' | 'deny'>>;
  /** True: certificates count as delivered, though the resources hold no secrets. Default: connections that need them are closed. */
  readonly withoutSecrets?: boolean;
}

export type SimulationError =
  | 'no listener matched'
  | 'no filter chains matched'
  | 'multiple filter chains matched'
  | 'no virtual host matched'
  | 'no route matched'
  | 'no cluster matched'
  | 'tls required, sending 301'
  | 'protocol error'
  | 'invalid TLS'
  | 'no certificate'
  | 'invalid mTLS';

/** A decision on the way, and the object and field that made it, where the resource says so. */
export interface Step {
  stage:
    | 'listener'
    | 'filter-chain'
    | 'route-configuration'
    | 'virtual-host'
    | 'cors'
    | 'authentication'
    | 'authorization'
    | 'fault'
    | 'rate-limit'
    | 'route'
    | 'cluster';
  name: string;
  origin?: Origin;
  /** Of filters: what they made of the call. */
  decision?: Decision;
  /** What else there was to choose from, worked out when asked. */
  alternatives?: () => readonly Alternative[];
}

/** What a filter made of a call. */
export interface Decision {
  /** `asks`: somebody else decides. `observed`: logged, or tried out in dry run: it changed nothing. */
  readonly verdict: 'allowed' | 'refused' | 'observed' | 'asks' | 'answered' | 'delayed';
  /** Of policies. */
  readonly action?: 'ALLOW' | 'DENY' | 'LOG' | 'CUSTOM';
  /** Of dry runs: whether the call would have been let in. */
  readonly wouldAllow?: boolean;
  /** Where no rule matched: the rules that could have, as `Step.name`s. */
  readonly candidates?: readonly PolicyReference[];
  /** In words, or in Envoy's. */
  readonly why?: string;
}

/** A rule of a policy. */
export interface PolicyReference {
  /** The name under which it travels, such as `ns[shop]-policy[admins]-rule[0]`. */
  readonly name: string;
  readonly origin?: Origin;
}

export interface SimulationResult {
  listener?: string;
  filterChain?: string;
  routeConfig?: string;
  virtualHost?: string;
  route?: string;
  /** The chosen cluster; with several weighted ones the first of positive weight. */
  cluster?: string;
  /** All clusters with their weights, where the route or TCP proxy splits. */
  weightedClusters?: readonly { cluster: string; weight: number }[];
  redirect?: { code: number; location: string };
  directResponse?: { status: number };
  /** The status that the client gets, where that is decided here and not by the destination. */
  status?: number;
  /** Of answers to gRPC calls that are decided here: the code, with which `status` is 200. */
  grpcStatus?: number;
  /** Beside `grpcStatus`: the status that other clients get. */
  httpStatus?: number;
  /** Envoy's response code details of an answer by a filter, such as `rbac_access_denied_matched_policy[none]`. */
  details?: string;
  /** TCP: the connection is closed by a filter. */
  closed?: boolean;
  /** Whoever decided that the call is refused: a policy's rule, or `none` where no rule allowed it. */
  refusedBy?: string;
  /** A fault that strikes some requests only: shares in percent. */
  fault?: {
    /** `grpcStatus`: what gRPC clients get, where the fault says so. */
    abort?: { status: number; grpcStatus?: number; percent: number };
    delay?: { milliseconds: number; percent: number };
  };
  /** Of requests that are sent on: how often they are sent again at most, and upon what, in Envoy's words (`connect-failure`). */
  retries?: { readonly attempts: number; readonly on: readonly string[] };
  /** The request as the destination gets it. */
  forwarded?: { authority: string; path: string; headers: Readonly<Record<string, string>> };
  /** `address:port` of the endpoints of the chosen cluster that the call may go to. */
  endpoints?: readonly string[];
  /** All endpoints of the chosen cluster, with the share of requests that each gets. */
  chances?: readonly EndpointChance[];
  /** Of connections: the only protocol that is offered upstream, whatever the cluster's TLS says. */
  offers?: readonly string[];
  error?: SimulationError;
  /** Where nothing was found: what there was, and why it did not fit. */
  misses?: () => readonly Alternative[];
  /** Filters that it passed whose effect is not known: name, and a hash of what they are told to do. */
  unforeseen?: readonly string[];
  /** What was taken for granted, in words: answers of others, signatures, filters that are not simulated. */
  assumed?: readonly string[];
  steps: readonly Step[];
}
