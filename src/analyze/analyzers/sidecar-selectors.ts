import { holdsLabels } from '../../kit/labels.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { injectionLabels } from '../injection-labels.ts';
import { formatLabels } from '../selectors.ts';

interface SidecarSpec {
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
}

/** IST0101, IST0110, IST0111 and IST0167: Sidecars that select nobody, that are in each other's way, or that no proxy reads. */
export const sidecarSelectorAnalyzer: Analyzer = {
  name: 'sidecar.SelectorAnalyzer',
  inputs: [kinds.sidecar, kinds.pod, kinds.namespace],
  analyze: (view) => {
    const byNamespace = Map.groupBy(view.all<SidecarSpec>(kinds.sidecar), ({ namespace }) => namespace);
    const ambient = new Set(
      view
        .all(kinds.namespace)
        .filter(({ labels }) => isAmbient(labels))
        .map(({ name }) => name),
    );
    for (const [namespace, sidecars] of byNamespace) {
      const general = sidecars.filter(({ spec }) => !spec.workloadSelector);
      if (general.length > 1) reportGeneral(view, general);
      checkSelected(
        view,
        namespace,
        sidecars.filter(({ spec }) => spec.workloadSelector),
      );
      if (ambient.has(namespace))
        for (const sidecar of sidecars)
          view.report(
            'IST0167',
            sidecar,
            'pods of this namespace have no sidecar (ambient mode), so it does nothing; remove it',
          );
    }
  },
};

function isAmbient(labels: Readonly<Record<string, string>>): boolean {
  const { ambient, enabled, revision } = injectionLabels(labels);
  return ambient && !enabled && !revision;
}

function reportGeneral(view: AnalysisView, sidecars: readonly Item<SidecarSpec>[]): void {
  for (const sidecar of sidecars) {
    const others = namesBut(sidecars, sidecar);
    const message = `is for the whole namespace, and so are ${others}: only one is used; merge them, or give them a workloadSelector`;
    view.report('IST0111', sidecar, message);
  }
}

function checkSelected(view: AnalysisView, namespace: string, sidecars: readonly Item<SidecarSpec>[]): void {
  const pods = view.all(kinds.pod).filter((pod) => pod.namespace === namespace);
  const clashes = new Map<Item<SidecarSpec>, { pod: string; rivals: readonly Item<SidecarSpec>[] }>();
  const selects = ({ spec }: Item<SidecarSpec>, labels: Readonly<Record<string, string>>) =>
    holdsLabels(labels, spec.workloadSelector?.labels ?? {});
  for (const { name, labels } of pods) {
    const rivals = sidecars.filter((sidecar) => selects(sidecar, labels));
    if (rivals.length > 1) for (const sidecar of rivals) clashes.set(sidecar, { pod: name, rivals });
  }
  for (const sidecar of sidecars) {
    const clash = clashes.get(sidecar);
    const path = 'spec.workloadSelector';
    if (clash) {
      const message = `selects pod ${clash.pod}, which ${namesBut(clash.rivals, sidecar)} selects too: only one is used; make their selectors exclude each other`;
      view.report('IST0110', sidecar, message, path);
    } else if (view.workloadsKnown && !pods.some(({ labels }) => selects(sidecar, labels))) {
      const labels = formatLabels(sidecar.spec.workloadSelector?.labels ?? {});
      view.report(
        'IST0101',
        sidecar,
        `no workload of the namespace has the labels ${labels}; mend the selector`,
        path,
      );
    }
  }
}

function namesBut(all: readonly Item<unknown>[], one: Item<unknown>): string {
  return all.flatMap((other) => (other === one ? [] : other.name)).join(', ');
}
