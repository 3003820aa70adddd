import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { meshHosts } from '../mesh-hosts.ts';
import { destinationsOf, type VirtualServiceSpec } from '../virtual-service-spec.ts';

interface RuleSpec {
  readonly host?: string;
}

/** OST0103: `reviews.prod` looks like a service of a namespace and is taken as it is written: a host outside. */
export const ambiguousHostAnalyzer: Analyzer = {
  name: 'ostria.AmbiguousHostAnalyzer',
  inputs: [kinds.virtualService, kinds.destinationRule, kinds.service, kinds.serviceEntry],
  analyze: (view) => {
    const known = new Set(meshHosts(view).map(({ host }) => host));
    const check = (item: Item<unknown>, host: string, path: string): void => {
      const full = `${host.replace(/\.svc$/, '')}.svc.${view.domainSuffix}`;
      if (!/^[^.*]+\.[^.]+(\.svc)?$/.test(host) || known.has(host) || !known.has(full)) return;
      const message = `only names without a dot are completed: ${host} is taken as it stands, not as the service ${full}; write that`;
      view.report('OST0103', item, message, path);
    };
    checkVirtualServices(view, check);
    for (const rule of view.all<RuleSpec>(kinds.destinationRule))
      check(rule, rule.spec.host ?? '', 'spec.host');
  },
};

function checkVirtualServices(
  view: AnalysisView,
  check: (item: Item<unknown>, host: string, path: string) => void,
): void {
  for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
    const { hosts = [], gateways = ['mesh'] } = service.spec;
    // Behind a gateway any name may be what clients ask for.
    if (gateways.includes('mesh'))
      for (const [index, host] of hosts.entries()) check(service, host, `spec.hosts[${index}]`);
    for (const { destination, path } of destinationsOf(service.spec))
      check(service, destination.host ?? '', `${path}.host`);
  }
}
