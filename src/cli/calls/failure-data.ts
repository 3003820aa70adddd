import { originId } from '../../config/origin.ts';
import type { Position } from '../../config/source-map.ts';
import type { FailureGroup } from '../../observe/group-failures.ts';

/** A group as `-o json` and `-o yaml` print it. */
export function structuredGroup(
  group: FailureGroup,
  positions: ReadonlyMap<string, Position>,
): Record<string, unknown> {
  const { kind, count, code, what, mend, decidedBy, first, last, workloads, callers, example, nearMiss } =
    group;
  const at = (id: string) => ({ origin: id, ...(positions.has(id) ? { position: positions.get(id) } : {}) });
  return {
    ...{ kind, count, code, what, mend },
    ...(decidedBy === undefined ? {} : { decidedBy: at(decidedBy) }),
    first: new Date(first).toISOString(),
    last: new Date(last).toISOString(),
    ...{ workloads, callers },
    ...(nearMiss
      ? {
          nearMiss: {
            policies: nearMiss.policies.map((name) => at(`AuthorizationPolicy/${name}`)),
            more: nearMiss.more,
            ...(nearMiss.rule
              ? {
                  nearest: at(originId(nearMiss.rule.origin)),
                  conditions: nearMiss.rule.conditions.map((condition) => ({
                    ...condition,
                    ...at(
                      originId({
                        ...(nearMiss.rule as NonNullable<typeof nearMiss.rule>).origin,
                        path: condition.path,
                      }),
                    ),
                  })),
                }
              : {}),
          },
        }
      : {}),
    example: example.records.map(({ start, rbac, ...record }) => ({
      ...record,
      time: new Date(start).toISOString(),
    })),
    assumed: example.assumed,
  };
}
