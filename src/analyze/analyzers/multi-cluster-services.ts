import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { ServiceSpec } from '../selectors.ts';

/** IST0170: a service that is another in each cluster. */
export const multiClusterServiceAnalyzer: Analyzer = {
  name: 'services.MultiClusterServiceAnalyzer',
  inputs: [kinds.service],
  analyze: (view) => {
    const services = view.all<ServiceSpec>(kinds.service).filter(({ cluster }) => cluster !== undefined);
    for (const [key, same] of Map.groupBy(services, ({ namespace, name }) => `${namespace}/${name}`)) {
      const [first] = same;
      if (!first || new Set(same.map(({ cluster }) => cluster)).size < 2) continue;
      const differs = aspects.filter(({ of }) => new Set(same.map(of)).size > 1).map(({ what }) => what);
      if (differs.length === 0) continue;
      const clusters = [...new Set(same.map(({ cluster }) => cluster))].join(', ');
      const message = `${key} differs in ${differs.join(' and ')} between the clusters ${clusters}; make its definitions equal`;
      view.report('IST0170', first, message, 'spec');
    }
  },
};

const aspects: readonly { readonly what: string; readonly of: (service: Item<ServiceSpec>) => string }[] = [
  { what: 'its type', of: ({ spec }) => spec.type ?? 'ClusterIP' },
  { what: 'being headless', of: ({ spec }) => String(spec.clusterIP === 'None') },
  {
    what: 'its ports',
    of: ({ spec }) =>
      (spec.ports ?? [])
        .map(
          ({ name, port, protocol = 'TCP', appProtocol = '' }) =>
            `${port} ${name} ${protocol} ${appProtocol}`,
        )
        .sort()
        .join(','),
  },
];
