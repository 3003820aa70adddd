import { defineSlot } from '../../../plan/slot.ts';

export interface MetricsPlan {
  readonly reporter: 'source' | 'destination';
  /** How the peer is known; `unknown` where only the endpoint can say (the source's side). */
  readonly security: 'mutual_tls' | 'none' | 'unknown';
  readonly protocol: 'http' | 'tcp';
  /** Of the destination, where one chain is for one service. */
  readonly service?: { readonly hostname: string; readonly namespace: string };
}

export const metricsSlot = defineSlot<MetricsPlan>('metrics');

/** Whether requests tell the server's sidecar of their sender, or must not carry such a claim further. */
export const peerSlot = defineSlot<'told' | 'withheld'>('peer');
