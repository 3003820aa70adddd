import { resolveHost } from '../../plan/hosts.ts';
import { type Analyzer, kinds } from '../analyzer.ts';
import { exportScope, isVisible } from '../mesh-hosts.ts';
import { destinationsOf, type VirtualServiceSpec } from '../virtual-service-spec.ts';

interface DestinationRuleSpec {
  readonly host?: string;
  readonly exportTo?: readonly string[];
  readonly subsets?: readonly { readonly name?: string }[];
}

interface Subsets {
  readonly namespace: string;
  readonly exportTo: readonly string[];
  readonly names: ReadonlySet<string>;
}

/** IST0101: subsets that no DestinationRule defines. */
export const virtualServiceSubsetAnalyzer: Analyzer = {
  name: 'virtualservice.DestinationRuleAnalyzer',
  inputs: [kinds.virtualService, kinds.destinationRule],
  analyze: (view) => {
    const byHost = new Map<string, Subsets[]>();
    for (const { spec, namespace } of view.all<DestinationRuleSpec>(kinds.destinationRule)) {
      const host = resolveHost(spec.host ?? '', namespace, view.domainSuffix);
      const names = new Set((spec.subsets ?? []).map(({ name = '' }) => name));
      byHost.set(host, [
        ...(byHost.get(host) ?? []),
        { namespace, exportTo: exportScope(spec.exportTo), names },
      ]);
    }
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
      for (const { destination, path } of destinationsOf(service.spec)) {
        const { host = '', subset } = destination;
        if (!subset) continue;
        const full = resolveHost(host, service.namespace, view.domainSuffix);
        const rules = (byHost.get(full) ?? []).filter((rule) =>
          isVisible(rule.exportTo, rule.namespace, service.namespace),
        );
        if (rules.some(({ names }) => names.has(subset))) continue;
        const known = rules.flatMap(({ names }) => [...names]);
        const others =
          known.length > 0 ? `defined are ${known.join(', ')}` : 'no DestinationRule defines one';
        const message = `${full} has no subset ${subset} (${others}); add it to the host's DestinationRule, or mend its name`;
        view.report('IST0101', service, message, `${path}.subset`);
      }
    }
  },
};
