/** Counters and gauges of the delivery, for whichever exporter the composition root has. `label`: type or reason, '' for none. */
export interface XdsMetrics {
  /** Adds to a counter. */
  add(counter: XdsCounter, amount: number, label: string): void;
  /** Sets a gauge. */
  set(gauge: XdsGauge, value: number): void;
}

export type XdsCounter =
  /** Responses sent, by type. */
  | 'pushes'
  /** Bytes of responses, by type. */
  | 'push_bytes'
  | 'acks'
  | 'nacks'
  /** Requests that named a response which is not in flight. */
  | 'stale_requests'
  /** Streams refused or ended by the server, by reason. */
  | 'refused'
  /** Connections that were ended because the client read nothing or answered no ping. */
  | 'stalled';

export type XdsGauge = 'streams' | 'connections' | 'proxies';

export const noMetrics: XdsMetrics = { add: () => undefined, set: () => undefined };
