import { holdsLabels } from '../../kit/labels.ts';
import { servicePortProtocol } from '../../registry/protocol.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { injectionLabels } from '../injection-labels.ts';
import type { DeploymentSpec, ServicePort, ServiceSpec } from '../selectors.ts';

interface Exposure {
  readonly service: Item<ServiceSpec>;
  readonly port: ServicePort;
}

/** IST0116 and IST0137: one port of a workload that several services call by another protocol or another number. */
export const deploymentServiceAnalyzer: Analyzer = {
  name: 'deployment.MultiServiceAnalyzer',
  inputs: [kinds.deployment, kinds.service, kinds.namespace],
  analyze: (view) => {
    const injected = new Set(
      view
        .all(kinds.namespace)
        .filter(({ labels }) => injectionLabels(labels).enabled || injectionLabels(labels).revision)
        .map(({ name }) => name),
    );
    const services = Map.groupBy(view.all<ServiceSpec>(kinds.service), ({ namespace }) => namespace);
    for (const deployment of view.all<DeploymentSpec>(kinds.deployment)) {
      const labels = deployment.spec.template?.metadata?.labels ?? {};
      const inMesh = injected.has(deployment.namespace) || labels['sidecar.istio.io/inject'] === 'true';
      if (!inMesh || labels['sidecar.istio.io/inject'] === 'false') continue;
      const matching = (services.get(deployment.namespace) ?? []).filter(
        ({ spec: { selector = {} } }) => Object.keys(selector).length > 0 && holdsLabels(labels, selector),
      );
      checkPorts(view, deployment, matching);
    }
  },
};

function checkPorts(
  view: AnalysisView,
  deployment: Item<DeploymentSpec>,
  services: readonly Item<ServiceSpec>[],
): void {
  const exposures = services.flatMap((service) =>
    (service.spec.ports ?? []).map((port): Exposure => ({ service, port })),
  );
  const byTarget = Map.groupBy(exposures, ({ port }) => port.targetPort || port.port);
  for (const [target, list] of byTarget) {
    const names = [...new Set(list.map(({ service }) => service.name))];
    if (names.length < 2) continue;
    const protocols = new Set(list.map(({ port }) => servicePortProtocol(port)));
    if (protocols.size > 1) {
      const message = `port ${target} is ${[...protocols].join(' and ')} by turns in the services ${names.join(', ')}; give it one protocol`;
      view.report('IST0116', deployment, message);
    }
    const numbers = new Set(list.map(({ port }) => port.port));
    if (numbers.size > 1) {
      const message = `port ${target} has the numbers ${[...numbers].join(', ')} in the services ${names.join(', ')}; give it one`;
      view.report('IST0137', deployment, message);
    }
  }
}
