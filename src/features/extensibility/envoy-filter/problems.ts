import { parseEnvoyValue } from '../../../config/envoy-value/parse-envoy-value.ts';
import { patchTypes } from '../../../config/envoy-value/patch-types.ts';
import { rootPath } from '../../../config/field-path.ts';
import { type ConfigObject, objectKey } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { isOwnCluster } from './added.ts';
import { contentOf, type EnvoyFilter, filterOrigin, quarantineKind } from './schema.ts';

/** What an EnvoyFilter asks for and cannot have, whoever it applies to. */
export function envoyFilterProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'EnvoyFilter') return [];
  const filter = object as EnvoyFilter;
  const key = objectKey(filter);
  return [
    ...refusals(view, filter, key),
    ...targetProblems(filter, key),
    ...(filter.spec?.configPatches ?? []).flatMap((_, index) => patchProblems(filter, key, index)),
  ];
}

/** What proxies refused because of it. */
function refusals(view: View, filter: EnvoyFilter, key: string): Problem[] {
  const quarantine = view.get(quarantineKind, key);
  if (!quarantine || quarantine.content !== contentOf(filter)) return [];
  const all = Object.entries(quarantine.resources);
  const [first] = all;
  if (!first) return [];
  const names = all.map(([id]) => id.slice(id.lastIndexOf('.') + 1));
  const where = quarantine.everywhere
    ? 'it is out of force everywhere'
    : `it is left out of ${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
  return [
    {
      origin: filterOrigin(key, ''),
      code: 'RejectedByProxy',
      message: `Envoy refused what this filter made, so ${where} until it is edited: ${first[1]}`,
    },
  ];
}

function targetProblems(filter: EnvoyFilter, key: string): Problem[] {
  return (filter.spec?.targetRefs ?? []).flatMap(({ kind }, index) =>
    kind === 'Service' || kind === 'ServiceEntry'
      ? [
          {
            origin: filterOrigin(key, `spec.targetRefs[${index}]`),
            code: 'NotActedOn',
            message: `spec.targetRefs[${index}]: ${kind} is a target at waypoints only, which are not built yet: nothing is patched for it`,
          },
        ]
      : [],
  );
}

/** What a patch of the bootstrap does not change: how the proxy is known, reached and supplied (src/agent/merge-bootstrap.ts). */
function bootstrapFieldsKept(value: Readonly<Record<string, unknown>>): string[] {
  const { admin } = value as { admin?: { address?: unknown } };
  return [
    ...['node', 'dynamic_resources', 'dynamicResources'].filter((field) => value[field] !== undefined),
    ...(admin?.address === undefined ? [] : ['admin.address']),
  ];
}

function patchProblems(filter: EnvoyFilter, key: string, index: number): Problem[] {
  const config = filter.spec?.configPatches?.[index];
  const { applyTo = 'INVALID', patch = {}, match } = config ?? {};
  if (applyTo === 'INVALID') return [];
  const path = `spec.configPatches[${index}]`;
  const problem = (code: string, at: string, message: string): Problem => ({
    origin: filterOrigin(key, at),
    code,
    message,
  });
  const found: Problem[] = [];
  if (patch.value !== undefined) {
    const parsed = parseEnvoyValue(
      patchTypes[applyTo],
      patch.value,
      rootPath.field('spec').field('configPatches').index(index).field('patch').field('value'),
    );
    if (!parsed.ok)
      for (const issue of parsed.issues.slice(0, 3))
        found.push(problem('InvalidPatch', issue.path.toString(), `${issue.message}; the patch is left out`));
    else if (applyTo === 'CLUSTER' && patch.operation === 'ADD' && isOwnCluster(String(patch.value.name)))
      found.push(
        problem(
          'ReservedName',
          `${path}.patch.value.name`,
          `the mesh makes ${patch.value.name} itself: MERGE into it, or choose another name`,
        ),
      );
  }
  if (applyTo === 'BOOTSTRAP') {
    if (patch.operation !== 'MERGE')
      found.push(
        problem(
          'NotActedOn',
          `${path}.patch.operation`,
          `a bootstrap is patched by MERGE alone: this one is left out`,
        ),
      );
    const kept = bootstrapFieldsKept(patch.value ?? {});
    if (kept.length > 0)
      found.push(
        problem(
          'NotActedOn',
          `${path}.patch.value`,
          `${kept.join(', ')}: the mesh's own in every bootstrap, so left as it is; the rest of the patch is taken`,
        ),
      );
  }
  if (match?.context === 'WAYPOINT' || match?.waypoint)
    found.push(problem('NotActedOn', `${path}.match`, 'waypoints are not built yet: nothing is patched'));
  return found;
}
