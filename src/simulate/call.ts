import type { Origin } from '../config/origin.ts';

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
  alpn?: string;
  sourceAddress?: string;
  /** HTTP. The Host or `:authority`, with its port where the client sends one. */
  host?: string;
  /** With query. Default `/`. */
  path?: string;
  /** Default GET. */
  method?: string;
  /** Names in lower case. */
  headers?: Readonly<Record<string, string>>;
  /** Which of a route's destinations of positive weight is taken, where there are several. Default 0. */
  destination?: number;
  /** Claims of the token that the request carries, once it was verified. */
  claims?: Readonly<Record<string, unknown>>;
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
  | 'invalid mTLS';

/** A decision on the way, and the object and field that made it, where the resource says so. */
export interface Step {
  stage: 'listener' | 'filter-chain' | 'route-configuration' | 'virtual-host' | 'route' | 'cluster';
  name: string;
  origin?: Origin;
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
  /** The request as the destination gets it. */
  forwarded?: { authority: string; path: string };
  /** `address:port` of the endpoints of the chosen cluster. */
  endpoints?: readonly string[];
  error?: SimulationError;
  steps: readonly Step[];
}
