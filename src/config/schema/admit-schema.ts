import type { SchemaAdmission } from '../api-server/admission-hooks.ts';
import type { ConfigObject } from '../object.ts';
import { compileSchema } from './compile-schema.ts';

/**
 * Checks an object against the schema of its version, in Kubernetes' order: prune what is unknown, fill in defaults, then types,
 * limits and rules. The arguments stay as they are.
 */
export const admitSchema: SchemaAdmission = ({ version, object, old }) => {
  const schema = compileSchema(version.schema);
  const pruned = schema.prune(object);
  const defaulted = schema.applyDefaults(pruned.value) as ConfigObject;
  return {
    object: defaulted,
    unknownFields: pruned.unknown,
    issues: schema.validate(defaulted, old),
  };
};
