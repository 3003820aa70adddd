import type { JsonObject } from '../../../kit/json.ts';
import type { Kind, KindRegistry, KindVersion } from '../../kind.ts';
import { hashText } from '../discovery/hash.ts';
import { kindsFingerprint } from '../discovery/resources.ts';
import { type Operation, operationsOf, queryType } from './paths.ts';
import { commonSchemas, kindSchemas, metaGroup, reference } from './schemas.ts';

const prefix = '#/components/schemas/';

interface GroupVersion {
  /** `api/v1` or `apis/networking.istio.io/v1`. */
  path: string;
  members: { kind: Kind; version: KindVersion }[];
}

export interface OpenApiV3 {
  /** The index: a URL with a content hash per group version. */
  index(): JsonObject;
  /** One document as JSON text with its hash; undefined where there is no such group version. */
  document(path: string): { text: string; hash: string } | undefined;
}

/** Documents are made when first asked for, and again when the kinds change. */
export function createOpenApiV3(kinds: KindRegistry, release: string): OpenApiV3 {
  let fingerprint = '';
  let versions = new Map<string, GroupVersion>();
  const texts = new Map<string, { text: string; hash: string }>();
  const refresh = () => {
    const now = kindsFingerprint(kinds);
    if (now === fingerprint) return;
    fingerprint = now;
    versions = groupVersions(kinds);
    texts.clear();
  };
  const document = (path: string) => {
    refresh();
    const found = texts.get(path);
    const groupVersion = versions.get(path);
    if (found || !groupVersion) return found;
    const text = JSON.stringify(buildDocument(groupVersion, release));
    const made = { text, hash: hashText(text) };
    texts.set(path, made);
    return made;
  };
  return {
    document,
    index: () => {
      refresh();
      const paths: JsonObject = {};
      for (const path of [...versions.keys()].sort()) {
        // Hashing the content would build every document for one that is asked for: the members' identity is enough.
        paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${document(path)?.hash ?? ''}` };
      }
      return { paths };
    },
  };
}

function groupVersions(kinds: KindRegistry): Map<string, GroupVersion> {
  const result = new Map<string, GroupVersion>();
  for (const kind of kinds.all()) {
    for (const version of kind.versions) {
      if (!version.served) continue;
      const path = kind.group === '' ? `api/${version.name}` : `apis/${kind.group}/${version.name}`;
      const entry = result.get(path) ?? { path, members: [] };
      entry.members.push({ kind, version });
      result.set(path, entry);
    }
  }
  return result;
}

function buildDocument(groupVersion: GroupVersion, release: string): JsonObject {
  const schemas: JsonObject = commonSchemas();
  const paths: Record<string, JsonObject> = {};
  for (const { kind, version } of groupVersion.members) {
    Object.assign(schemas, kindSchemas(kind, version, prefix));
    for (const operation of operationsOf(kind, version)) {
      const item = paths[operation.path] ?? {
        parameters: operation.pathParameters.map((name) => ({
          name,
          in: 'path',
          required: true,
          schema: { type: 'string' },
        })),
      };
      item[operation.method] = writeOperation(operation);
      paths[operation.path] = item;
    }
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Ostria', version: release },
    paths,
    components: { schemas },
  };
}

function writeOperation(operation: Operation): JsonObject {
  const { body } = operation;
  return {
    operationId: operation.id,
    parameters: operation.query.map((name) => ({ name, in: 'query', schema: queryType(name) })),
    ...(body
      ? {
          requestBody: {
            required: operation.method !== 'delete',
            content: contentOf(body.types, body.schema),
          },
        }
      : {}),
    responses: {
      '200': {
        description: 'OK',
        content: contentOf(['application/json', 'application/yaml'], operation.response),
      },
    },
    'x-kubernetes-action': operation.action,
    [metaGroup]: { group: operation.group, kind: operation.kind, version: operation.version },
  };
}

function contentOf(types: readonly string[], schema: string): JsonObject {
  return Object.fromEntries(types.map((type) => [type, { schema: reference(prefix, schema) }]));
}
