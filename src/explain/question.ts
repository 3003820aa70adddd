/** What is asked: one request or connection, and who makes it. */
export interface Question {
  /**
   * Who calls: a workload (`productpage-v1-0`, or what stands behind it: `productpage-v1`, its Deployment, its label `app`; with
   * `.namespace` where that is not `default`), an IP address of one, or `ingress` or a gateway's name for a client outside.
   */
  readonly from: string;
  /** `http://`, `https://`, `tcp://host:port` or `tls://server-name:port`; without a scheme: http. */
  readonly url: string;
  /** Default GET. */
  readonly method?: string;
  /** Names in any case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Claims of the token that the request carries, as one that passes verification holds them. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** SPIFFE identity (or `namespace/serviceAccount`) that the caller proves instead of its own. */
  readonly as?: string;
  /** IP address that the connection comes from, where no sidecar of the caller's own makes it. Default: the caller's; of a client outside, one of the internet. */
  readonly address?: string;
  /** Which of a route's destinations of positive weight is followed to its end, from 0. Default: each that can be taken. */
  readonly destination?: number;
}
