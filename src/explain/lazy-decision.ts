import type { Model } from '../model/model.ts';
import { lazyLabel, ownLazyChoice } from '../plan/lazy.ts';
import type { Decision } from './explanation.ts';
import type { Hop } from './hop.ts';
import { decidedBy } from './words.ts';

/** Whether the caller's sidecar loads what a call needs when it comes. */
export function loadsOnDemand(model: Model, { proxy, role, call }: Hop): boolean {
  if (role !== 'client' || proxy.type !== 'sidecar' || call.protocol === 'tcp' || !proxy.vhds) return false;
  const own = ownLazyChoice(proxy);
  if (own !== '') return own === 'true';
  const named = namespaceChoice(model, proxy);
  return named === undefined ? model.mesh.lazy : named === 'true';
}

function namespaceChoice(model: Model, { namespace }: Hop['proxy']): string | undefined {
  return model.objects.get(`/Namespace|/${namespace}`)?.object.metadata.labels?.[lazyLabel];
}

/** What a sidecar that loads on the first request does before anything else; undefined: it has all it needs. */
export function lazyDecision(model: Model, hop: Hop): Decision | undefined {
  if (!loadsOnDemand(model, hop)) return undefined;
  const { at, proxy, role } = hop;
  const byNamespace = ownLazyChoice(proxy) === '' && namespaceChoice(model, proxy) !== undefined;
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
