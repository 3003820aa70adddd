import { type MeshProxy, parseProxy } from '../snapshot/proxy.ts';

const id = 'sidecar~0.0.0.0~observer.ostria-system~ostria-system.svc.cluster.local';

/** A proxy that stands for nobody: on its behalf is asked what is wrong with objects. */
export const observer: MeshProxy = createObserver();

function createObserver(): MeshProxy {
  const parsed = parseProxy({ id, cluster: '', metadata: {} }, { vhds: true });
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.proxy;
}
