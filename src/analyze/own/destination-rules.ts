import { holdsLabels } from '../../kit/labels.ts';
import { resolveHost } from '../../plan/hosts.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { type ServiceSpec, selectsPod } from '../selectors.ts';

interface TrafficPolicy {
  readonly tls?: { readonly mode?: string };
  readonly outlierDetection?: unknown;
  readonly loadBalancer?: {
    readonly localityLbSetting?: {
      readonly enabled?: boolean;
      readonly failover?: readonly unknown[];
      readonly failoverPriority?: readonly unknown[];
    };
  };
}

interface RuleSpec {
  readonly host?: string;
  readonly workloadSelector?: unknown;
  readonly trafficPolicy?: TrafficPolicy;
  readonly subsets?: readonly { readonly name?: string; readonly trafficPolicy?: TrafficPolicy }[];
}

interface PeerAuthenticationSpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly mtls?: { readonly mode?: string };
}

const peerAuthentication = 'PeerAuthentication.security.istio.io';

/** OST0108: a failover that never happens, since nothing ever finds an endpoint unwell. */
export const failoverAnalyzer: Analyzer = {
  name: 'ostria.FailoverAnalyzer',
  perObject: true,
  inputs: [kinds.destinationRule],
  analyze: (view) => {
    for (const rule of view.all<RuleSpec>(kinds.destinationRule))
      for (const [policy, path] of policiesOf(rule.spec)) {
        const {
          enabled,
          failover = [],
          failoverPriority = [],
        } = policy.loadBalancer?.localityLbSetting ?? {};
        const outlier = policy.outlierDetection ?? rule.spec.trafficPolicy?.outlierDetection;
        if (enabled === false || failover.length + failoverPriority.length === 0 || outlier) continue;
        const message =
          'without outlierDetection no endpoint is ever found unwell, so traffic fails over only when a locality has no endpoint at all; add outlierDetection beside it';
        view.report('OST0108', rule, message, `${path}.loadBalancer.localityLbSetting`);
      }
  },
};

/** OST0107: of several rules for a host, one gives the traffic policy. */
export const duplicateRuleAnalyzer: Analyzer = {
  name: 'ostria.DuplicateDestinationRuleAnalyzer',
  inputs: [kinds.destinationRule],
  analyze: (view) => {
    const plain = view
      .all<RuleSpec>(kinds.destinationRule)
      .filter(({ spec }) => spec.trafficPolicy && !spec.workloadSelector);
    const hostOf = ({ spec, namespace }: Item<RuleSpec>) =>
      `${namespace}/${resolveHost(spec.host ?? '', namespace, view.domainSuffix)}`;
    for (const [, [first, ...later]] of Map.groupBy(plain.toSorted(byAge), hostOf))
      for (const rule of later) {
        const message = `DestinationRule ${first?.name} of the same namespace is for ${rule.spec.host} too and older: of both the subsets count, but only its trafficPolicy; join them`;
        view.report('OST0107', rule, message, 'spec.trafficPolicy');
      }
  },
};

function byAge(a: Item<unknown>, b: Item<unknown>): number {
  const created = ({ object }: Item<unknown>) => object.metadata.creationTimestamp ?? '';
  const age = (item: Item<unknown>) => `${created(item)} ${item.name}`;
  return age(a) < age(b) ? -1 : 1;
}

/** OST0104: plaintext, or TLS without our certificate, to servers that take mutual TLS alone. */
export const tlsMismatchAnalyzer: Analyzer = {
  name: 'ostria.TlsMismatchAnalyzer',
  inputs: [kinds.destinationRule, kinds.service, kinds.pod, peerAuthentication],
  analyze: (view) => {
    const services = new Map(
      view
        .all<ServiceSpec>(kinds.service)
        .map((one) => [`${one.name}.${one.namespace}.svc.${view.domainSuffix}`, one]),
    );
    for (const rule of view.all<RuleSpec>(kinds.destinationRule)) {
      const service = services.get(resolveHost(rule.spec.host ?? '', rule.namespace, view.domainSuffix));
      const refused = policiesOf(rule.spec).filter(
        ([{ tls }]) => tls?.mode === 'DISABLE' || tls?.mode === 'SIMPLE',
      );
      if (!service || refused.length === 0) continue;
      const strict = strictnessOf(view, service);
      if (!strict) continue;
      for (const [{ tls }, path] of refused) {
        const message = `PeerAuthentication ${strict.namespace}/${strict.name} has the servers of ${rule.spec.host} take mutual TLS alone, and mode ${tls?.mode} calls them without our certificate: every request fails (503); remove tls here (it is then chosen by itself), or relax the other`;
        view.report('OST0104', rule, message, `${path}.tls.mode`);
      }
    }
  },
};

/** The object that makes all workloads of a service STRICT: the narrowest one counts. */
function strictnessOf(
  view: AnalysisView,
  service: Item<ServiceSpec>,
): Item<PeerAuthenticationSpec> | undefined {
  const all = view.all<PeerAuthenticationSpec>(peerAuthentication);
  const pods = view.all(kinds.pod).filter((pod) => selectsPod(service, pod));
  const labels = pods.length > 0 ? pods.map((pod) => pod.labels) : [service.spec.selector ?? {}];
  const deciding = labels.map((own) => decidingOf(all, service.namespace, own, view.rootNamespace));
  return deciding.every((one) => one?.spec.mtls?.mode === 'STRICT') ? deciding[0] : undefined;
}

function decidingOf(
  all: readonly Item<PeerAuthenticationSpec>[],
  namespace: string,
  labels: Readonly<Record<string, string>>,
  rootNamespace: string,
): Item<PeerAuthenticationSpec> | undefined {
  const says = all.filter(({ spec }) => spec.mtls?.mode !== undefined && spec.mtls.mode !== 'UNSET');
  const selectorOf = ({ spec }: Item<PeerAuthenticationSpec>) => spec.selector?.matchLabels;
  const own = says.filter((one) => one.namespace === namespace);
  return (
    own.find((one) => selectorOf(one) && holdsLabels(labels, selectorOf(one) ?? {})) ??
    own.find((one) => !selectorOf(one)) ??
    says.find((one) => one.namespace === rootNamespace && !selectorOf(one))
  );
}

function policiesOf({ trafficPolicy, subsets = [] }: RuleSpec): [policy: TrafficPolicy, path: string][] {
  return [
    ...(trafficPolicy ? [[trafficPolicy, 'spec.trafficPolicy'] as [TrafficPolicy, string]] : []),
    ...subsets.flatMap(({ trafficPolicy: own }, index): [TrafficPolicy, string][] =>
      own ? [[own, `spec.subsets[${index}].trafficPolicy`]] : [],
    ),
  ];
}
