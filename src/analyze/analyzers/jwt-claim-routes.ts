import { holdsLabels } from '../../kit/labels.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { VirtualServiceSpec } from '../virtual-service-spec.ts';

type Labels = Readonly<Record<string, string>>;

interface GatewaySpec {
  readonly selector?: Labels;
}

interface RequestAuthenticationSpec {
  readonly selector?: { readonly matchLabels?: Labels };
}

const claimPrefix = '@request.auth.claims';

/** IST0149: routes by a token's claims at a gateway that checks no token. */
export const jwtClaimRouteAnalyzer: Analyzer = {
  name: 'virtualservice.JWTClaimRouteAnalyzer',
  inputs: [kinds.virtualService, kinds.gateway, kinds.pod, kinds.requestAuthentication],
  analyze: (view) => {
    const gateways = new Map(
      view
        .all<GatewaySpec>(kinds.gateway)
        .map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]),
    );
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
      const claim = claimMatch(service.spec);
      if (!claim) continue;
      for (const name of service.spec.gateways ?? []) {
        const key = name.includes('/') ? name : `${service.namespace}/${name}`;
        const gateway = gateways.get(key);
        const pod = gateway && unchecked(view, gateway);
        if (!pod) continue;
        const message = `routes by ${claim.key} at gateway ${key}, whose pod ${pod.name} has no RequestAuthentication, so the match never holds; add one that selects it`;
        view.report('IST0149', service, message, claim.path);
      }
    }
  },
};

function claimMatch({
  http = [],
}: VirtualServiceSpec): { readonly key: string; readonly path: string } | undefined {
  for (const [rule, { match = [] }] of http.entries())
    for (const [index, one] of match.entries())
      for (const field of ['headers', 'withoutHeaders'] as const) {
        const key = Object.keys(one[field] ?? {}).find((name) => name.startsWith(claimPrefix));
        if (key) return { key, path: `spec.http[${rule}].match[${index}].${field}` };
      }
  return undefined;
}

/** A pod of the gateway to which no RequestAuthentication applies. */
function unchecked(view: AnalysisView, { spec }: Item<GatewaySpec>): Item | undefined {
  const policies = view.all<RequestAuthenticationSpec>(kinds.requestAuthentication);
  return view
    .all<Readonly<Record<string, unknown>>>(kinds.pod)
    .filter(({ labels }) => holdsLabels(labels, spec.selector ?? {}))
    .find(
      (pod) =>
        !policies.some(
          (policy) =>
            (policy.namespace === pod.namespace || policy.namespace === view.rootNamespace) &&
            holdsLabels(pod.labels, policy.spec.selector?.matchLabels ?? {}),
        ),
    );
}
