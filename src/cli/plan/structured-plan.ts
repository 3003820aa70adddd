import type { DecidedBy } from '../../explain/explanation.ts';
import { sentence } from './format-classes.ts';
import { type PlanReport, sentBytes, summarizeTypes } from './format-impact.ts';

/** A plan for programs. */
export function structuredPlan({ objects, impact, after }: PlanReport): unknown {
  const { touched } = impact;
  return {
    objects,
    proxies: {
      total: touched.total,
      uncompared: touched.uncompared,
      touched: touched.proxies.map(({ workload, changes }) => ({
        workload: workload.key,
        bytes: changes.reduce((sum, change) => sum + (change.after?.bytes.length ?? 0), 0),
        resources: changes.map(({ name }) => name),
      })),
      added: touched.added,
      removed: touched.removed,
      bytes: sentBytes(impact),
      types: summarizeTypes(impact),
    },
    requests: {
      examined: Math.round(impact.examined),
      changed: impact.changed.map((one) => ({
        witness: one.witness,
        senders: one.senders,
        places: one.places,
        ...(one.anyOtherHost ? { anyOtherHost: true } : {}),
        kinds: one.requests,
        differences: one.differences,
        before: {
          summary: sentence(one.before),
          ends: one.before.ends,
          decidedBy: places(one.decidedBefore),
        },
        after: {
          summary: sentence(one.after),
          ends: one.after.ends,
          decidedBy: places(one.decidedAfter),
        },
      })),
    },
    notLookedAt: impact.cuts,
    assumptions: after.assumptions,
  };
}

function places(list: readonly DecidedBy[]): unknown[] {
  return list.map(({ kind, namespace, name, path, position }) => ({
    kind,
    namespace,
    name,
    path,
    ...(position ? { position } : {}),
  }));
}
