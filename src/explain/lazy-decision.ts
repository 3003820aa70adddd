import type { Model } from '../model/model.ts';
import { lazyLabel, ownLazyChoice } from '../plan/lazy.ts';
import type { Decision } from './explanation.ts';
import type { Hop } from './hop.ts';
import { decidedBy } from './words.ts';

/** What a sidecar that loads on the first request does before anything else; undefined: it has all it needs. */
export function lazyDecision(model: Model, { at, proxy, role, call }: Hop): Decision | undefined {
  if (role !== 'client' || proxy.type !== 'sidecar' || call.protocol === 'tcp' || !proxy.vhds)
    return undefined;
  const namespace = model.objects.get(`/Namespace|/${proxy.namespace}`)?.object;
  const named = namespace?.metadata.labels?.[lazyLabel];
  const own = ownLazyChoice(proxy);
  const isLazy = own === '' ? (named === undefined ? model.mesh.lazy : named === 'true') : own === 'true';
  if (!isLazy) return undefined;
  const byNamespace = own === '' && named !== undefined;
  return {
    at: { workload: at.key, role },
    stage: 'capture',
    what: 'the sidecar is lazy: the first request for a host waits until its routes and clusters are loaded, and is answered as told here',
    ...(byNamespace
      ? {
          by: decidedBy(model, {
            kind: 'Namespace',
            namespace: '',
            name: proxy.namespace,
            path: `metadata.labels["${lazyLabel}"]`,
          }),
        }
      : {}),
    lost: [],
  };
}
