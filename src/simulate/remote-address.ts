import type { HttpConnectionManager } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { parseIp } from '../kit/ip.ts';
import type { Call } from './call.ts';

const header = 'x-forwarded-for';

/**
 * What is taken for the client's address: at an edge the peer's, or with trusted proxies before it the one that they name; elsewhere the
 * last one of X-Forwarded-For, and the peer's where that says nothing.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-for
 */
export function clientAddress(manager: HttpConnectionManager, call: Call): string {
  const peer = call.sourceAddress ?? '';
  const hops = manager.xffNumTrustedHops;
  const edge = manager.useRemoteAddress === true;
  if (edge && hops === 0) return peer;
  return named(call.headers?.[header] ?? '', edge ? hops - 1 : hops) ?? peer;
}

/** An edge tells the next hop whom it serves. */
export function withForwardedFor(manager: HttpConnectionManager, call: Call): Call {
  if (!manager.useRemoteAddress || manager.skipXffAppend || !call.sourceAddress) return call;
  const before = call.headers?.[header];
  const value = before === undefined ? call.sourceAddress : `${before},${call.sourceAddress}`;
  return { ...call, headers: { ...call.headers, [header]: value } };
}

/** The address behind which `skipped` others stand; undefined where there is none, or no address. */
function named(list: string, skipped: number): string | undefined {
  const entries = list.split(',');
  const text = entries[entries.length - 1 - skipped]?.trim() ?? '';
  return parseIp(text) ? text : undefined;
}
