import { type Analyzer, kinds } from '../analyzer.ts';
import { meshConfigMap, meshNetworks } from '../mesh-settings.ts';

/** IST0126: networks of clusters that nobody has joined. */
export const meshNetworksAnalyzer: Analyzer = {
  name: 'meshnetworks.MeshNetworksAnalyzer',
  inputs: [kinds.configMap, kinds.secret],
  analyze: (view) => {
    const map = meshConfigMap(view);
    if (!map) return;
    const remote = view
      .all(kinds.secret)
      .filter(({ labels }) => labels['istio/multiCluster'] === 'true')
      .flatMap(({ object }) => Object.keys((object.data ?? object.stringData ?? {}) as object));
    const known = new Set(['Kubernetes', ...remote]);
    for (const [network, { endpoints = [] }] of Object.entries(meshNetworks(view).networks ?? {}))
      for (const { fromRegistry } of endpoints)
        if (fromRegistry && !known.has(fromRegistry))
          view.report(
            'IST0126',
            map,
            `network ${network} is that of cluster ${fromRegistry}, which has not joined; add its remote secret, or mend the name`,
            'data.meshNetworks',
          );
  },
};
