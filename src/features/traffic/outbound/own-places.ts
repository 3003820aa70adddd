import { captureMode, proxyType } from '../../../plan/attributes.ts';
import { type EgressListener, egressListeners, listenerOfPort, scopeOf } from '../../../plan/sidecar.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

/** An egress listener of a Sidecar that has an address or a socket of its own. */
export interface OwnPlace {
  /** Of the listener among those of its scope. */
  readonly position: number;
  /** An IP or `unix:///path`. */
  readonly address: string;
  readonly port: number;
  /** False: connections to the address are redirected by the kernel. */
  readonly bind: boolean;
  /** The listener's name; its route configuration's too, so it holds no slash. */
  readonly name: string;
}

function placeOf(view: View, listener: EgressListener, position: number): OwnPlace | undefined {
  const { bind, port = 0, protocol, captureMode: mode } = listener;
  if (bind.startsWith('unix://'))
    return { position, address: bind, port: 0, bind: true, name: encodeURIComponent(bind) };
  if (port === 0) return undefined;
  const captured = view.attribute(captureMode);
  const alone =
    mode === 'NONE' ||
    protocol === 'HTTP_PROXY' ||
    (mode === 'DEFAULT' && captured === 'none') ||
    (bind !== '' && captured === 'explicit');
  if (!alone && bind === '') return undefined;
  const address = bind === '' ? '127.0.0.1' : bind;
  return { position, address, port, bind: alone, name: `egress_${address}_${port}` };
}

/** The places of the asking sidecar's egress listeners, in the order of its Sidecar. */
export const ownPlaces = defineQuery('outbound.own-places', (view): readonly OwnPlace[] => {
  const scope = view.call(scopeOf);
  if (scope === '' || view.attribute(proxyType) !== 'sidecar') return [];
  return view
    .call(egressListeners, scope)
    .flatMap((listener, position) => placeOf(view, listener, position) ?? []);
});

/** Whether a port belongs to a listener with a place of its own: no other listens for it. */
export function isOwnPort(view: View, port: Key): boolean {
  const places = view.call(ownPlaces);
  if (places.length === 0) return false;
  const position = listenerOfPort(view.call(egressListeners, view.call(scopeOf)), Number(port));
  return places.some((place) => place.position === position);
}
