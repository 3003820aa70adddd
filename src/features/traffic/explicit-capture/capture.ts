import type { Origin } from '../../../config/origin.ts';
import { explicitCapture, proxyType } from '../../../plan/attributes.ts';
import { listenOn } from '../../../plan/ip-families.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

export const captureOrigin: Origin = {
  kind: 'MeshConfig',
  namespace: '',
  name: 'mesh',
  path: 'explicitCapture',
};

/** The supervisor's allocation for a sidecar. Per workload: everything made from it is small. */
export function captureOf(view: View): ExplicitCapture | undefined {
  if (view.attribute(proxyType) !== 'sidecar') return undefined;
  const text = view.attribute(explicitCapture);
  return text === '' ? undefined : (JSON.parse(text) as ExplicitCapture);
}

/** The loopback addresses of an allocation, comma-separated: an argument of what is planned on them. */
export function loopbacksOf(view: View): Key {
  const { families = ['IPv4'] } = captureOf(view) ?? {};
  return families.map((family) => (family === 'IPv6' ? '::1' : '127.0.0.1')).join(',');
}

/** The fields of a listener that is bound to them. */
export function boundTo(loopbacks: Key) {
  const [address = '', ...further] = loopbacks.split(',');
  return listenOn([address, ...further]);
}

/** The parts of `host:port@local` or `host:port`. */
export function splitTarget(target: string): { host: string; port: string; local: number } {
  const at = target.lastIndexOf('@');
  const address = at < 0 ? target : target.slice(0, at);
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon),
    port: address.slice(colon + 1),
    local: at < 0 ? 0 : Number(target.slice(at + 1)),
  };
}
