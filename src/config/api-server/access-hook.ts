import { equalJson } from '../../kit/json.ts';
import { escalationProblem, rbacGroup } from '../access/escalation.ts';
import type { RoleIndex } from '../access/role-index.ts';
import type { AdmissionHook } from './admission-hooks.ts';
import { type Authorizer, subjectOf } from './context.ts';
import { forbidden, invalid } from './status.ts';

/** Keeps people from giving themselves or others more than they have, and bindings from being turned to another role. */
export function createAccessHook(authorizer: Authorizer, roles: RoleIndex): AdmissionHook {
  return {
    name: 'rbac',
    validate: async ({ kind, object, old, user }) => {
      if (kind.group !== rbacGroup || !object) return [];
      if (old && object.roleRef !== undefined && !equalJson(object.roleRef, old.roleRef)) {
        throw invalid(subjectOf(kind), object.metadata.name, [
          {
            path: 'roleRef',
            severity: 'error',
            code: 'FieldValueInvalid',
            message: 'cannot change roleRef: delete the binding and create it anew',
          },
        ]);
      }
      const unchanged =
        old &&
        equalJson(
          [old.rules, old.aggregationRule, old.subjects],
          [object.rules, object.aggregationRule, object.subjects],
        );
      if (unchanged) return [];
      const problem = await escalationProblem(user, kind.kind, object, authorizer, roles);
      if (problem !== undefined) throw forbidden(subjectOf(kind), object.metadata.name, problem);
      return [];
    },
  };
}
