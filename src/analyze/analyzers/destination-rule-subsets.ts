import { holdsLabels } from '../../kit/labels.ts';
import { hostCovers, resolveHost } from '../../plan/hosts.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { createHostLookup, meshHosts } from '../mesh-hosts.ts';
import type { PodSpec, ServiceSpec } from '../selectors.ts';

type Labels = Readonly<Record<string, string>>;

interface DestinationRuleSpec {
  readonly host?: string;
  readonly subsets?: readonly { readonly name?: string; readonly labels?: Labels }[];
}

interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
}

/** IST0173 and IST0174: rules for hosts that are not there, and subsets that select nobody. */
export const destinationRuleSubsetAnalyzer: Analyzer = {
  name: 'destinationrule.SubsetSelectPodAnalyzer',
  inputs: [
    kinds.destinationRule,
    kinds.service,
    kinds.serviceEntry,
    kinds.pod,
    kinds.node,
    kinds.workloadEntry,
  ],
  analyze: (view) => {
    const hosts = meshHosts(view);
    const lookup = createHostLookup(hosts);
    const workloads = workloadsOf(view);
    for (const rule of view.all<DestinationRuleSpec>(kinds.destinationRule)) {
      const host = resolveHost(rule.spec.host ?? '', rule.namespace, view.domainSuffix);
      const found = lookup(host, rule.namespace);
      if (found?.service) {
        if (view.workloadsKnown) checkSubsets(view, rule, found.service, workloads);
      } else if (!found && !hosts.some((one) => hostCovers(host, one.host))) {
        const message = `there is no service ${host}, so the rule does nothing; create it as a Service or ServiceEntry, or mend the host`;
        view.report('IST0174', rule, message, 'spec.host');
      }
    }
  },
};

function checkSubsets(
  view: AnalysisView,
  rule: Item<DestinationRuleSpec>,
  service: Item<ServiceSpec>,
  workloads: readonly Workload[],
): void {
  const { selector = {} } = service.spec;
  const members = workloads.filter(
    ({ namespace, labels }) =>
      namespace === service.namespace && Object.keys(selector).length > 0 && holdsLabels(labels, selector),
  );
  for (const [index, { name = '', labels = {} }] of (rule.spec.subsets ?? []).entries()) {
    if (members.some((member) => holdsLabels(member.labels, labels))) continue;
    const message = `subset ${name} selects no workload of ${service.namespace}/${service.name}: requests to it fail; mend its labels, or start such a workload`;
    view.report('IST0173', rule, message, `spec.subsets[${index}].labels`);
  }
}

/** Pods with the labels of the place where they run, and workload entries. */
function workloadsOf(view: AnalysisView): Workload[] {
  const nodes = new Map(view.all(kinds.node).map(({ name, labels }) => [name, topologyOf(labels)]));
  const pods = view.all<PodSpec>(kinds.pod).map(
    ({ namespace, labels, spec }): Workload => ({
      namespace,
      labels: { ...nodes.get(spec.nodeName ?? ''), ...labels },
    }),
  );
  const entries = view
    .all<{ readonly labels?: Labels }>(kinds.workloadEntry)
    .map(({ namespace, labels, spec }): Workload => ({ namespace, labels: { ...labels, ...spec.labels } }));
  return [...pods, ...entries];
}

function topologyOf(labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(labels).filter(
      ([name]) => name.startsWith('topology.') || name === 'kubernetes.io/hostname',
    ),
  );
}
