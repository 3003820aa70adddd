import type { FilterChain } from '../../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { KnownAs } from '../../../snapshot/resource.ts';
import { meansFilter } from './names.ts';
import type { PatchHead } from './schema.ts';

/** Where the kernel sends connections: their chains are told apart by port, the listener has none of its own. */
const captureListeners: ReadonlySet<string> = new Set(['virtualInbound', 'virtualOutbound']);

export interface ListenerTarget {
  readonly listener: Listener;
  readonly known: KnownAs;
}

export function listenerPort({ listener, known }: ListenerTarget): number {
  if (known.port !== undefined) return known.port;
  const address = listener.address?.address;
  const port = address?.case === 'socketAddress' ? address.value.portSpecifier : undefined;
  return port?.case === 'portValue' ? port.value : 0;
}

export function contextMatches(head: PatchHead, known: KnownAs): boolean {
  if (head.context === 'SIDECAR_INBOUND') return known.inbound === true;
  return head.context !== 'SIDECAR_OUTBOUND' || known.inbound !== true;
}

/** By what is known without the listener's content. */
export function listenerNameMatches(head: PatchHead, name: string, known: KnownAs): boolean {
  if (!contextMatches(head, known)) return false;
  const wanted = head.match.listener?.name;
  return !wanted || wanted === name || (known.names?.includes(wanted) ?? false);
}

export function listenerMatches(head: PatchHead, target: ListenerTarget): boolean {
  const { listener, known } = target;
  if (!listenerNameMatches(head, listener.name, known)) return false;
  const port = head.match.listener?.portNumber || head.match.waypoint?.portNumber;
  // The chains of a capture listener have the ports.
  if (!port || (head.applyTo !== 'LISTENER' && captureListeners.has(listener.name))) return true;
  return listenerPort(target) === port;
}

export function chainMatches(head: PatchHead, target: ListenerTarget, chain: FilterChain): boolean {
  const match = head.match.listener;
  if (!match) return true;
  const own = chain.filterChainMatch;
  const chainPort =
    own?.destinationPort ?? (captureListeners.has(target.listener.name) ? undefined : target.known.port);
  if (match.portNumber && captureListeners.has(target.listener.name) && chainPort !== match.portNumber)
    return false;
  const wanted = match.filterChain;
  if (!wanted) return true;
  if (wanted.name && wanted.name !== chain.name) return false;
  if (wanted.sni && !own?.serverNames.includes(wanted.sni)) return false;
  if (wanted.transportProtocol && wanted.transportProtocol !== own?.transportProtocol) return false;
  if (wanted.destinationPort && wanted.destinationPort !== chainPort) return false;
  const protocols = wanted.applicationProtocols?.split(',').map((protocol) => protocol.trim()) ?? [];
  return protocols.every((protocol) => protocol === '' || own?.applicationProtocols.includes(protocol));
}

/** The name of the network filter that a patch is about. */
export function networkFilterName(head: PatchHead): string | undefined {
  return head.match.listener?.filterChain?.filter?.name || head.match.waypoint?.filter?.name || undefined;
}

/** The name of the HTTP filter that a patch is about. */
export function httpFilterName(head: PatchHead): string | undefined {
  return (
    head.match.listener?.filterChain?.filter?.subFilter?.name ||
    head.match.waypoint?.filter?.subFilter?.name ||
    undefined
  );
}

export function networkFilterMatches(head: PatchHead, filter: string): boolean {
  const name = networkFilterName(head);
  return name === undefined || meansFilter(name, filter);
}
