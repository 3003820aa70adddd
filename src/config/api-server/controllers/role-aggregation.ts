import type { Clock } from '../../../kit/clock.ts';
import { equalJson, getAt } from '../../../kit/json.ts';
import { type LabelSelector, selectsLabels } from '../../../kit/labels.ts';
import type { ConfigObject } from '../../object.ts';
import type { Store } from '../../store/store.ts';
import { createWorkQueue } from './work-queue.ts';

export const clusterRoleResource = 'clusterroles.rbac.authorization.k8s.io';

/**
 * Writes into every ClusterRole with an `aggregationRule` the rules of the roles that it selects, so that people see what it
 * holds. What users may do does not wait for this: the role index gathers the same rules by itself.
 */
export function createRoleAggregation(options: {
  store: Store;
  signal: AbortSignal;
  clock: Clock;
  onError: (key: string, error: unknown) => void;
}) {
  const { store } = options;
  const queue = createWorkQueue({ ...options, work: aggregate, parallel: 1 });

  async function aggregate(): Promise<void> {
    const { items } = await store.list({ resource: clusterRoleResource });
    for (const { ref, revision, object } of items) {
      const selectors = getAt(object, 'aggregationRule', 'clusterRoleSelectors');
      if (!Array.isArray(selectors)) continue;
      const rules = items
        .filter((one) => one.object !== object && selects(selectors as LabelSelector[], one.object))
        .sort((a, b) => (a.ref.name < b.ref.name ? -1 : 1))
        .flatMap((one) => (Array.isArray(one.object.rules) ? one.object.rules : []));
      const distinct = rules.filter((rule, i) => rules.findIndex((other) => equalJson(other, rule)) === i);
      if (equalJson(distinct, object.rules)) continue;
      const { resourceVersion: _revision, ...metadata } = object.metadata;
      const next = { ...object, metadata, rules: distinct };
      const result = await store.commit([{ type: 'put', ref, object: next, expect: revision }]);
      if (!result.ok && result.conflict.current) throw new Error(`${ref.name} changed in between`);
    }
  }

  return { changed: () => queue.add('') };
}

function selects(selectors: readonly LabelSelector[], role: ConfigObject): boolean {
  return selectors.some((selector) => selectsLabels(selector, role.metadata.labels ?? {}));
}
