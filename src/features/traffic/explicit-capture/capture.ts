import type { Origin } from '../../../config/origin.ts';
import { explicitCapture, proxyType } from '../../../plan/attributes.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import type { View } from '../../../snapshot/view.ts';

export const loopback = '127.0.0.1';
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
