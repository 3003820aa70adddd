import { resolveHost } from '../../plan/hosts.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import { exportScope } from '../mesh-hosts.ts';
import type { VirtualServiceSpec } from '../virtual-service-spec.ts';

/** IST0109: several VirtualServices for one host inside the mesh, of which sidecars take one. */
export const conflictingMeshHostsAnalyzer: Analyzer = {
  name: 'virtualservice.ConflictingMeshGatewayHostsAnalyzer',
  inputs: [kinds.virtualService],
  analyze: (view) => {
    const byHost = new Map<string, Item<VirtualServiceSpec>[]>();
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
      const { gateways = [], hosts = [] } = service.spec;
      if (gateways.length > 0 && !gateways.includes('mesh')) continue;
      for (const host of new Set(hosts.map((one) => resolveHost(one, service.namespace, view.domainSuffix))))
        byHost.set(host, [...(byHost.get(host) ?? []), service]);
    }
    for (const [host, services] of byHost) {
      for (const service of services) {
        const rivals = services.filter((other) => !isSame(service, other) && seenTogether(service, other));
        if (rivals.length === 0) continue;
        const names = rivals.map(({ namespace, name }) => `${namespace}/${name}`).sort();
        const message = `sidecars take one VirtualService for ${host}, the oldest, and ${names.join(', ')} has it too; merge them`;
        view.report('IST0109', service, message, 'spec.hosts');
      }
    }
  },
};

/** Two files may hold one object, of which one comes to be. */
function isSame(a: Item<unknown>, b: Item<unknown>): boolean {
  return a.name === b.name && a.namespace === b.namespace;
}

/** Whether some namespace sees both. */
function seenTogether(a: Item<VirtualServiceSpec>, b: Item<VirtualServiceSpec>): boolean {
  const scope = ({ spec, namespace }: Item<VirtualServiceSpec>) =>
    exportScope(spec.exportTo).map((one) => (one === '.' ? namespace : one));
  const [ofA, ofB] = [scope(a), scope(b)];
  return ofA.some((one) => ofB.some((other) => one === other || one === '*' || other === '*'));
}
