import type { Origin } from '../config/origin.ts';
import { compareText } from '../kit/maps.ts';
import type { Model } from '../model/model.ts';
import { objectsOfKind } from '../model/model-objects.ts';
import { resolveHost } from '../plan/hosts.ts';
import { gatewaysOf, namespaceOf, type VirtualService } from '../plan/virtual-services.ts';
import type { Lost } from './explanation.ts';
import { decidedBy } from './words.ts';

/**
 * VirtualServices that name the same host to sidecars as the one that decides, and are not heard: of several, the oldest has it whole,
 * then the first by name.
 */
export function otherVirtualServices(model: Model, winner: Origin): Lost[] {
  if (winner.kind !== 'VirtualService') return [];
  const all = [...objectsOfKind<VirtualService>(model.objects, 'networking.istio.io/VirtualService')].filter(
    (one) => gatewaysOf(one).includes('mesh'),
  );
  const deciding = all.find(
    (one) => one.metadata.name === winner.name && namespaceOf(one) === winner.namespace,
  );
  if (!deciding) return [];
  const hostsOf = (one: VirtualService): string[] =>
    (one.spec?.hosts ?? []).map((host) => resolveHost(host, namespaceOf(one), model.mesh.domainSuffix));
  const own = new Set(hostsOf(deciding));
  return all
    .filter((one) => one !== deciding && hostsOf(one).some((host) => own.has(host)))
    .sort((a, b) => compareText(a.metadata.name, b.metadata.name))
    .map((one): Lost => {
      const { name, namespace = '' } = one.metadata;
      const index = hostsOf(one).findIndex((host) => own.has(host));
      const older = (deciding.metadata.creationTimestamp ?? '') < (one.metadata.creationTimestamp ?? '');
      return {
        what: `VirtualService ${name}`,
        why: `it names the host too, and ${winner.name} ${older ? 'is older' : 'comes first by name and namespace'}: one alone decides for a host`,
        by: decidedBy(model, { kind: 'VirtualService', namespace, name, path: `spec.hosts[${index}]` }),
      };
    });
}
