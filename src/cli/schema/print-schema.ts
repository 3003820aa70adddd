import { type Kind, resourceName } from '../../config/kind.ts';
import { builtInKinds } from '../../config/kinds/built-in-kinds.ts';
import type { JsonSchema } from '../../config/schema/json-schema.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { meshFileSchema } from '../mesh-file/mesh-file-schema.ts';
import { testFileSchema } from '../mesh-tests/test-file-schema.ts';
import { anyObjectSchema, kindSchema, schemaPath } from './schema-bundle.ts';

/** The schema that a user asks for. Throws `UsageInvalid` for a kind that is not known. */
export function schemaOf(name: string | undefined): JsonSchema {
  const kinds = builtInKinds();
  if (name === undefined) return anyObjectSchema(kinds);
  if (name.toLowerCase() === 'mesh') return meshFileSchema;
  if (name.toLowerCase() === 'mesh-test') return testFileSchema;
  const kind = kinds.find((one) => namesOf(one).includes(name.toLowerCase()));
  const version = kind?.versions.find(({ storage }) => storage);
  if (!kind || !version)
    throw new CodedError(
      'UsageInvalid',
      `${name} is no kind that is known; ostria schema -d DIR writes all there are`,
    );
  return kindSchema(kind, version);
}

function namesOf(kind: Kind): string[] {
  const { plural, singular, shortNames, group } = kind;
  return [kind.kind, plural, singular, ...shortNames, resourceName(kind), `${kind.kind}.${group}`].map(
    (one) => one.toLowerCase(),
  );
}

/** Every schema with the path of its file. */
export function schemaFiles(): [path: string, schema: JsonSchema][] {
  const kinds = builtInKinds();
  return [
    ['all.json', anyObjectSchema(kinds)],
    ['mesh.json', meshFileSchema],
    ['mesh-test.json', testFileSchema],
    ...kinds.flatMap((kind) =>
      kind.versions
        .filter(({ served }) => served)
        .map((version): [string, JsonSchema] => [schemaPath(kind, version.name), kindSchema(kind, version)]),
    ),
  ];
}
