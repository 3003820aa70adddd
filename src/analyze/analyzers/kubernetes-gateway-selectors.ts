import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, kinds } from '../analyzer.ts';

interface PolicySpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
}

const policies = [kinds.authorizationPolicy, kinds.requestAuthentication, kinds.telemetry, kinds.wasmPlugin];
const gatewayLabel = 'gateway.networking.k8s.io/gateway-name';

/** IST0166: policies that select a Gateway API gateway by its labels, which it does not answer to. */
export const kubernetesGatewaySelectorAnalyzer: Analyzer = {
  name: 'k8sgateway.SelectorAnalyzer',
  inputs: [...policies, kinds.pod],
  analyze: (view) => {
    const gatewayPods = view.all(kinds.pod).filter(({ labels }) => labels[gatewayLabel] !== undefined);
    for (const policy of policies.flatMap((kind) => view.all<PolicySpec>(kind))) {
      const { selector, targetRef, targetRefs = [] } = policy.spec;
      const labels = selector?.matchLabels ?? {};
      if (Object.keys(labels).length === 0 || targetRef !== undefined || targetRefs.length > 0) continue;
      const pod = gatewayPods.find(
        (one) =>
          (policy.namespace === one.namespace || policy.namespace === view.rootNamespace) &&
          holdsLabels(one.labels, labels),
      );
      if (!pod) continue;
      const message = `a selector does nothing to the Gateway ${pod.namespace}/${pod.labels[gatewayLabel]}; name it with targetRefs`;
      view.report('IST0166', policy, message, 'spec.selector');
    }
  },
};
