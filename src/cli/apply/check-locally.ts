import type { Issue } from '../../config/kind.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import { kindFromCrd } from '../../config/kinds/crd.ts';
import type { ConfigObject } from '../../config/object.ts';
import { createAdmitObject } from '../../control-plane/admit-object.ts';

/**
 * A check without a server, by the rules that the server has: for objects that it cannot judge yet, since their namespace or
 * their CustomResourceDefinition comes with them. Loaded where it is needed only: the kinds are most of a control plane.
 */
export function createLocalCheck(definitions: readonly ConfigObject[]): (object: ConfigObject) => Issue[] {
  const kinds = createBuiltInRegistry();
  const admit = createAdmitObject(kinds);
  for (const definition of definitions)
    if (!admit(definition).issues.some(isError)) kinds.define(kindFromCrd(definition));
  return (object) => admit(object).issues.filter(isError);
}

function isError(issue: Issue): boolean {
  return issue.severity === 'error';
}
