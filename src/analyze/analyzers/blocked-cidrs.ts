import { type Analyzer, kinds } from '../analyzer.ts';
import type { DeploymentSpec } from '../selectors.ts';

interface RequestAuthenticationSpec {
  readonly jwtRules?: readonly { readonly jwksUri?: string }[];
}

const setting = 'BLOCKED_CIDRS_IN_JWKS_URIS';

/** IST0175: Istio's control plane, where it is deployed, fetches keys from wherever a policy says. */
export const blockedCidrsAnalyzer: Analyzer = {
  name: 'authn.BlockedCIDRsAnalyzer',
  inputs: [kinds.requestAuthentication, kinds.deployment],
  analyze: (view) => {
    const fetching = view
      .all<RequestAuthenticationSpec>(kinds.requestAuthentication)
      .filter(({ spec }) => spec.jwtRules?.some(({ jwksUri }) => jwksUri));
    if (fetching.length === 0) return;
    for (const deployment of view.all<DeploymentSpec>(kinds.deployment)) {
      if (deployment.labels.app !== 'istiod' || deployment.namespace !== view.rootNamespace) continue;
      const { containers = [] } = deployment.spec.template?.spec ?? {};
      if (containers.some(({ env = [] }) => env.some(({ name, value }) => name === setting && value)))
        continue;
      const names = fetching.map(({ namespace, name }) => `${namespace}/${name}`).join(', ');
      const message = `fetches keys for ${fetching.length} policies (${names}) from any address; set ${setting} to the ranges that it must not reach`;
      view.report('IST0175', deployment, message, 'spec.template.spec.containers');
    }
  },
};
