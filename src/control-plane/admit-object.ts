import type { Issue, KindRegistry } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import { hasErrors } from '../config/report.ts';
import { admitSchema } from '../config/schema/admit-schema.ts';

/**
 * Admission for objects that do not come through the API (files): the same schema, defaults and semantic rules. An object of an
 * unknown kind is an error: nothing would act on it, and a typing error in `kind` must not go by in silence.
 */
export function createAdmitObject(
  kinds: KindRegistry,
): (object: ConfigObject) => { object: ConfigObject; issues: Issue[] } {
  return (object) => {
    const { group, version } = splitApiVersion(object.apiVersion);
    const kind = kinds.byKind(group, object.kind);
    if (!kind) return { object, issues: [unknownKind(object)] };
    const found = kind.versions.find((candidate) => candidate.name === version && candidate.served);
    if (!found)
      return {
        object,
        issues: [
          unknownVersion(
            object,
            kind.versions.map(({ name }) => name),
          ),
        ],
      };
    const verdict = admitSchema({ kind, version: found, object, old: undefined });
    const unknown = verdict.unknownFields.map(
      (path): Issue => ({
        path,
        severity: 'error',
        code: 'UnknownField',
        message: `unknown field; check its spelling, or remove it`,
      }),
    );
    const issues = [...unknown, ...verdict.issues];
    // Semantic rules expect the types that the schema vouches for.
    if (!hasErrors(verdict.issues)) issues.push(...(kind.validate?.(verdict.object) ?? []));
    return { object: storageForm(verdict.object, kind.group, kind.versions), issues };
  };
}

export function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** One version inside, whatever the user writes: Istio's versions of a kind share their schema. */
function storageForm(
  object: ConfigObject,
  group: string,
  versions: readonly { name: string; storage: boolean }[],
): ConfigObject {
  const storage = versions.find((version) => version.storage)?.name;
  if (!storage) return object;
  return { ...object, apiVersion: group === '' ? storage : `${group}/${storage}` };
}

function unknownKind(object: ConfigObject): Issue {
  return {
    path: 'kind',
    severity: 'error',
    code: 'FieldValueNotSupported',
    message: `there is no kind ${object.kind} in ${object.apiVersion}; check apiVersion and kind, or define it with a CustomResourceDefinition first`,
  };
}

function unknownVersion(object: ConfigObject, served: readonly string[]): Issue {
  return {
    path: 'apiVersion',
    severity: 'error',
    code: 'FieldValueNotSupported',
    message: `${object.kind} has no version ${object.apiVersion}; served are ${served.join(', ')}`,
  };
}
