import { selectsLabels } from '../../kit/labels.ts';
import { type Analyzer, kinds } from '../analyzer.ts';
import { type DeploymentSpec, type PodSpec, proxyContainer } from '../selectors.ts';
import { isInjector, webhooksOf } from '../webhooks.ts';

/** IST0146 and IST0147: a proxy whose image the injector should fill in, where no injector comes by. */
export const imageAutoAnalyzer: Analyzer = {
  name: 'injection.ImageAutoAnalyzer',
  inputs: [kinds.deployment, kinds.pod, kinds.namespace, kinds.mutatingWebhook],
  analyze: (view) => {
    const namespaces = new Map(view.all(kinds.namespace).map(({ name, labels }) => [name, labels]));
    const injectors = webhooksOf(view, kinds.mutatingWebhook).filter(isInjector);
    const isAuto = (spec: PodSpec | undefined) => proxyContainer(spec ?? {})?.image === 'auto';
    for (const pod of view.all<PodSpec>(kinds.pod)) {
      if (!isAuto(pod.spec)) continue;
      const message = `has image auto, which no injector has replaced, so it cannot run; label its namespace istio-injection=enabled or the pod sidecar.istio.io/inject=true, and make it anew`;
      view.report('IST0147', pod, message, 'spec.containers');
    }
    for (const deployment of view.all<DeploymentSpec>(kinds.deployment)) {
      const { metadata, spec } = deployment.spec.template ?? {};
      if (!isAuto(spec)) continue;
      const injected = injectors.some(
        ({ webhook }) =>
          selectsLabels(webhook.namespaceSelector ?? {}, namespaces.get(deployment.namespace) ?? {}) &&
          selectsLabels(webhook.objectSelector ?? {}, metadata?.labels ?? {}),
      );
      if (injected) continue;
      const message = `its pods have image auto and no injector selects them; label the namespace istio-injection=enabled, or the template sidecar.istio.io/inject=true`;
      view.report('IST0146', deployment, message, 'spec.template.spec.containers');
    }
  },
};
