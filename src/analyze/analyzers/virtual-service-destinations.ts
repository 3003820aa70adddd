import { resolveHost } from '../../plan/hosts.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { createHostLookup, type MeshHost, meshHosts } from '../mesh-hosts.ts';
import { destinationsOf, type VirtualServiceSpec, type WrittenDestination } from '../virtual-service-spec.ts';

type Lookup = (host: string, from: string) => MeshHost | undefined;

/** IST0101, IST0112 and IST0140: destinations that are not there, whose port is unsaid, or whose subset a gateway passes by. */
export const destinationHostAnalyzer: Analyzer = {
  name: 'virtualservice.DestinationHostAnalyzer',
  inputs: [kinds.virtualService, kinds.service, kinds.serviceEntry],
  analyze: (view) => {
    const lookup = createHostLookup(meshHosts(view));
    const services = view.all<VirtualServiceSpec>(kinds.virtualService);
    const bySubset = subsetRoutes(view, services);
    for (const service of services) {
      for (const written of destinationsOf(service.spec)) checkDestination(view, service, written, lookup);
      checkBypass(view, service, bySubset);
    }
  },
};

function checkDestination(
  view: AnalysisView,
  service: Item<VirtualServiceSpec>,
  { destination: { host = '', port }, path }: WrittenDestination,
  lookup: Lookup,
): void {
  if (host === '') {
    view.report('IST0101', service, 'the destination names no host; set destination.host', path);
    return;
  }
  const full = resolveHost(host, service.namespace, view.domainSuffix);
  for (const from of viewersOf(service)) {
    const found = lookup(full, from);
    if (!found) {
      const message = `namespace ${from} sees no service ${full}; create it as a Service or ServiceEntry, export it there, or mend the host`;
      view.report('IST0101', service, message, `${path}.host`);
      return;
    }
    if (port?.number !== undefined) {
      if (found.ports.length === 0 || found.ports.includes(port.number)) continue;
      const message = `${full} has no port ${port.number}; it has ${found.ports.join(', ')}`;
      view.report('IST0101', service, message, `${path}.port`);
      return;
    }
    if (found.ports.length > 1) {
      const message = `${full} has several ports (${found.ports.join(', ')}) and the destination does not say which; set destination.port.number`;
      view.report('IST0112', service, message, path);
      return;
    }
  }
}

/** The namespaces whose proxies the routes are for: where they are known by name, else the object's own. */
function viewersOf({ spec, namespace }: Item<VirtualServiceSpec>): readonly string[] {
  const { exportTo = [] } = spec;
  if (exportTo.length === 0 || exportTo.includes('*')) return [namespace];
  return [...new Set(exportTo.map((scope) => (scope === '.' ? namespace : scope)))].filter(
    (scope) => scope !== '~',
  );
}

/** For each host with routes to a subset inside the mesh: the VirtualService that has them. */
function subsetRoutes(
  view: AnalysisView,
  services: readonly Item<VirtualServiceSpec>[],
): ReadonlyMap<string, Item<VirtualServiceSpec>> {
  const found = new Map<string, Item<VirtualServiceSpec>>();
  for (const service of services) {
    const { gateways = [] } = service.spec;
    if (gateways.length > 0 && !gateways.includes('mesh')) continue;
    for (const { route } of service.spec.http ?? [])
      for (const { destination } of route ?? []) {
        const host = resolveHost(destination?.host ?? '', service.namespace, view.domainSuffix);
        if (destination?.subset && !found.has(host)) found.set(host, service);
      }
  }
  return found;
}

/** Whoever expects the mesh's subset routes behind a gateway's route is mistaken: the gateway routes once, to the service. */
function checkBypass(
  view: AnalysisView,
  service: Item<VirtualServiceSpec>,
  bySubset: ReadonlyMap<string, Item<VirtualServiceSpec>>,
): void {
  const { gateways = [], http = [] } = service.spec;
  if (gateways.length === 0 || gateways.every((gateway) => gateway === 'mesh')) return;
  for (const [rule, { route }] of http.entries()) {
    for (const [index, { destination }] of (route ?? []).entries()) {
      if (!destination?.host || destination.subset) continue;
      const other = bySubset.get(resolveHost(destination.host, service.namespace, view.domainSuffix));
      if (!other || other === service) continue;
      const message = `requests that come through ${gateways.join(', ')} are not routed by VirtualService ${other.namespace}/${other.name}, which sends ${destination.host} to subsets inside the mesh; name the subset here too`;
      view.report('IST0140', service, message, `spec.http[${rule}].route[${index}].destination.host`);
    }
  }
}
