import type { StatusCondition } from '../../config/object.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';

interface Status {
  readonly conditions?: readonly StatusCondition[];
  readonly parents?: readonly { readonly conditions?: readonly StatusCondition[] }[];
}

const inputs = [
  kinds.authorizationPolicy,
  kinds.grpcRoute,
  kinds.kubernetesGateway,
  kinds.httpRoute,
  kinds.service,
  kinds.serviceEntry,
  kinds.workloadEntry,
];

/** Conditions that are well when they are false. */
const badWhenTrue: ReadonlySet<string> = new Set([
  'Conflicted',
  'OverlappingTLSConfig',
  'Stalled',
  'Detached',
]);

/** IST0171: what the control plane has said of an object in its status, and nobody has read. */
export const conditionAnalyzer: Analyzer = {
  name: 'conditions.ConditionAnalyzer',
  inputs,
  analyze: (view) => {
    for (const item of inputs.flatMap((kind) => view.all(kind))) {
      const status = (item.object.status ?? {}) as Status;
      checkConditions(view, item, status.conditions, 'status.conditions');
      for (const [index, { conditions }] of (status.parents ?? []).entries())
        checkConditions(view, item, conditions, `status.parents[${index}].conditions`);
    }
  },
};

function checkConditions(
  view: AnalysisView,
  item: Item<unknown>,
  conditions: readonly StatusCondition[] | undefined,
  path: string,
): void {
  if (!Array.isArray(conditions)) return;
  for (const [index, { type = '', status, reason = '', message = '' }] of conditions.entries()) {
    const bad = status === (badWhenTrue.has(type) ? 'True' : 'False') || reason === 'PartiallyInvalid';
    if (!bad || !isOurs(type, item)) continue;
    view.report(
      'IST0171',
      item,
      `its status says ${type} is ${status} (${reason}): ${message}`,
      `${path}[${index}]`,
    );
  }
}

/** Conditions of other programs carry their domain. Services and entries have Kubernetes' own too, which are not about the mesh. */
function isOurs(type: string, { kind }: Item<unknown>): boolean {
  if (type.includes('/')) return /^([^/]*\.)?istio\.io\//.test(type);
  return kind !== 'Service' && kind !== 'WorkloadEntry';
}
