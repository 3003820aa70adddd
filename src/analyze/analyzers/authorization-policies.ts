import { holdsLabels } from '../../kit/labels.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { formatLabels } from '../selectors.ts';

interface AuthorizationPolicySpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
  readonly rules?: readonly {
    readonly from?: readonly { readonly source?: { readonly namespaces?: readonly string[] } }[];
  }[];
}

/** IST0101 and IST0127: policies that protect nobody, or that let in a namespace that is not there. */
export const authorizationPolicyAnalyzer: Analyzer = {
  name: 'auth.AuthorizationPoliciesAnalyzer',
  inputs: [kinds.authorizationPolicy, kinds.namespace, kinds.pod, kinds.workloadEntry],
  analyze: (view) => {
    const namespaces = view.all(kinds.namespace).map(({ name }) => name);
    const workloads = [...view.all(kinds.pod), ...view.all(kinds.workloadEntry)];
    for (const policy of view.all<AuthorizationPolicySpec>(kinds.authorizationPolicy)) {
      if (view.workloadsKnown) checkSelector(view, policy, workloads);
      // Files that hold no namespace say nothing about which there are.
      if (namespaces.length > 0) checkNamespaces(view, policy, namespaces);
    }
  },
};

function checkSelector(
  view: AnalysisView,
  policy: Item<AuthorizationPolicySpec>,
  workloads: readonly Item<unknown>[],
): void {
  const { selector, targetRef, targetRefs = [] } = policy.spec;
  if (targetRef !== undefined || targetRefs.length > 0) return;
  const labels = selector?.matchLabels ?? {};
  const everywhere = policy.namespace === view.rootNamespace;
  if (
    workloads.some(
      (one) => (everywhere || one.namespace === policy.namespace) && holdsLabels(one.labels, labels),
    )
  )
    return;
  const whom = Object.keys(labels).length > 0 ? `with the labels ${formatLabels(labels)}` : 'at all';
  const where = everywhere ? 'the mesh' : `namespace ${policy.namespace}`;
  const message = `there is no workload ${whom} in ${where}, so it protects nobody; mend its selector or its namespace`;
  view.report('IST0127', policy, message, selector ? 'spec.selector' : '');
}

function checkNamespaces(
  view: AnalysisView,
  policy: Item<AuthorizationPolicySpec>,
  namespaces: readonly string[],
): void {
  for (const [rule, { from = [] }] of (policy.spec.rules ?? []).entries())
    for (const [source, one] of from.entries())
      for (const [index, pattern] of (one.source?.namespaces ?? []).entries()) {
        if (namespaces.some((name) => matches(pattern, name))) continue;
        const message = `there is no namespace ${pattern}, so the source matches nobody; mend its name`;
        view.report(
          'IST0101',
          policy,
          message,
          `spec.rules[${rule}].from[${source}].source.namespaces[${index}]`,
        );
      }
}

/** A `*` at either end stands for anything. */
function matches(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  if (pattern.startsWith('*')) return name.endsWith(pattern.slice(1));
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
