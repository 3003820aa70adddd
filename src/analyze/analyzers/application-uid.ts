import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { DeploymentSpec, PodSpec } from '../selectors.ts';

const proxyUid = 1337;

/** IST0144: workloads whose traffic is taken for the proxy's own, and goes round it. */
export const applicationUidAnalyzer: Analyzer = {
  name: 'applicationUID.Analyzer',
  inputs: [kinds.deployment, kinds.pod],
  analyze: (view) => {
    const check = (item: Item<unknown>, spec: PodSpec | undefined, path: string): void => {
      const { containers = [], securityContext } = spec ?? {};
      const index = containers.findIndex(
        ({ name, securityContext: own }) => name !== 'istio-proxy' && own?.runAsUser === proxyUid,
      );
      const place =
        index >= 0
          ? `${path}.containers[${index}]`
          : securityContext?.runAsUser === proxyUid
            ? path
            : undefined;
      if (place === undefined) return;
      const message = `runs as user ${proxyUid}, which is the proxy's: its requests would go round the proxy; choose another`;
      view.report('IST0144', item, message, `${place}.securityContext.runAsUser`);
    };
    for (const pod of view.all<PodSpec>(kinds.pod)) check(pod, pod.spec, 'spec');
    for (const deployment of view.all<DeploymentSpec>(kinds.deployment))
      check(deployment, deployment.spec.template?.spec, 'spec.template.spec');
  },
};
