import type { ModelWorkload } from '../model/model.ts';
import type { Call } from '../simulate/call.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { DecisionPlace } from './explanation.ts';

/** A proxy on the way, and the call as it reaches it. */
export interface Hop {
  readonly at: ModelWorkload;
  readonly proxy: MeshProxy;
  readonly role: Exclude<DecisionPlace['role'], 'caller'>;
  readonly call: Call;
}

/** `[::1]:80` where an address is one of IPv6. */
export function socketText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Splits `address:port`. */
export function splitSocket(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

/** The identity that a workload's certificate proves. */
export function identityOf(trustDomain: string, { workload }: ModelWorkload): string {
  return `spiffe://${trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount || 'default'}`;
}
