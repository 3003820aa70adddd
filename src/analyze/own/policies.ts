import { holdsLabels } from '../../kit/labels.ts';
import { servicePortProtocol } from '../../registry/protocol.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { type ServiceSpec, selectsPod } from '../selectors.ts';

interface Selecting {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
}

interface PolicySpec extends Selecting {
  readonly action?: string;
  readonly rules?: readonly Rule[];
}

interface Rule {
  readonly from?: readonly { readonly source?: Readonly<Record<string, unknown>> }[];
  readonly to?: readonly { readonly operation?: Readonly<Record<string, unknown>> }[];
  readonly when?: readonly { readonly key?: string }[];
}

/** A field of a rule, and where it stands in the policy. */
interface Use {
  readonly field: string;
  readonly path: string;
}

/** OST0105: fields of HTTP in a policy for workloads that are not called by HTTP. */
export const httpFieldsAnalyzer: Analyzer = {
  name: 'ostria.HttpFieldsOnTcpAnalyzer',
  inputs: [kinds.authorizationPolicy, kinds.service, kinds.pod],
  analyze: (view) => {
    const services = view.all<ServiceSpec>(kinds.service);
    for (const policy of view.all<PolicySpec>(kinds.authorizationPolicy)) {
      const [use] = usesOf(policy.spec, isHttpField);
      if (!use) continue;
      const pods = selectedPods(view, policy);
      const ports = services
        .filter((service) => pods.some((pod) => selectsPod(service, pod)))
        .flatMap(({ spec }) => spec.ports ?? []);
      if (ports.length === 0 || !ports.every((port) => isTcp(servicePortProtocol(port)))) continue;
      const effect =
        policy.spec.action === 'DENY'
          ? 'so the rest of the rule alone decides which connections are refused'
          : 'so the rule never matches and every connection is refused';
      const message = `${use.field} is known of HTTP requests only, and every port of these workloads is TCP (${ports.map(({ port }) => port).join(', ')}), ${effect}; use ports, principals and ipBlocks, or name the ports http-…`;
      view.report('OST0105', policy, message, use.path);
    }
  },
};

/** OST0106: claims that nobody verifies are never there. */
export const claimsAnalyzer: Analyzer = {
  name: 'ostria.UnverifiedClaimsAnalyzer',
  inputs: [kinds.authorizationPolicy, kinds.requestAuthentication, kinds.pod],
  analyze: (view) => {
    const verifying = view.all<Selecting>(kinds.requestAuthentication);
    for (const policy of view.all<PolicySpec>(kinds.authorizationPolicy)) {
      if (isAttached(policy.spec) || verifying.some(({ spec }) => isAttached(spec))) continue;
      const [use] = usesOf(policy.spec, isClaim);
      if (!use) continue;
      const pods = selectedPods(view, policy);
      const verified = (pod: Item<unknown>) =>
        verifying.some((one) => isFor(view, one, pod.namespace, pod.labels));
      const covered =
        pods.length > 0
          ? pods.some(verified)
          : verifying.some(
              (one) => one.namespace === policy.namespace || one.namespace === view.rootNamespace,
            );
      if (covered) continue;
      const effect = policy.spec.action === 'DENY' ? 'never refuses anything' : 'never lets anybody in';
      const message = `${use.field} comes from a verified token, and no RequestAuthentication verifies any for these workloads: the rule ${effect}; add one that selects them`;
      view.report('OST0106', policy, message, use.path);
    }
  },
};

function usesOf({ rules = [] }: PolicySpec, wanted: (field: string) => boolean): Use[] {
  const named = (fields: Readonly<Record<string, unknown>> | undefined, path: string): Use[] =>
    Object.keys(fields ?? {}).map((field) => ({ field, path: `${path}.${field}` }));
  const all = rules.flatMap(({ from = [], to = [], when = [] }, rule) => {
    const path = `spec.rules[${rule}]`;
    return [
      ...from.flatMap(({ source }, index) => named(source, `${path}.from[${index}].source`)),
      ...to.flatMap(({ operation }, index) => named(operation, `${path}.to[${index}].operation`)),
      ...when.map(({ key = '' }, index) => ({ field: key, path: `${path}.when[${index}].key` })),
    ];
  });
  return all.filter(({ field }) => wanted(field));
}

function isHttpField(field: string): boolean {
  return /^(notM|m)ethods$|^(notP|p)aths$|^(notH|h)osts$|^(notR|r)equestPrincipals$|^(notR|r)emoteIpBlocks$|^request\./.test(
    field,
  );
}

function isClaim(field: string): boolean {
  return /^(notR|r)equestPrincipals$|^request\.auth\./.test(field);
}

function isTcp(protocol: string): boolean {
  return /^(TCP|TLS|HTTPS|Mongo|MySQL|Redis|Thrift|Dubbo|ZooKeeper|Kafka|PostgreSQL)$/i.test(protocol);
}

function isAttached({ targetRef, targetRefs = [] }: Selecting): boolean {
  return targetRef !== undefined || targetRefs.length > 0;
}

function selectedPods(view: AnalysisView, policy: Item<Selecting>): Item<unknown>[] {
  if (isAttached(policy.spec)) return [];
  return view.all(kinds.pod).filter((pod) => isFor(view, policy, pod.namespace, pod.labels));
}

function isFor(
  view: AnalysisView,
  { spec, namespace }: Item<Selecting>,
  podNamespace: string,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (namespace !== podNamespace && namespace !== view.rootNamespace) return false;
  return holdsLabels(labels, spec.selector?.matchLabels ?? {});
}
