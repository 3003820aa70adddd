import { randomUUID } from 'node:crypto';
import type { Clock } from '../../kit/clock.ts';
import { equalJson } from '../../kit/json.ts';
import { builtInRoles } from '../access/built-in-roles.ts';
import type { ConfigObject } from '../object.ts';
import type { ObjectRef, Store } from '../store/store.ts';
import { recordUpdate } from './apply/managed-fields.ts';
import { type ApiContext, storageVersion } from './context.ts';
import { prepareNew } from './objects/builtin-kinds.ts';
import { hasGeneration } from './objects/generation.ts';
import { objectSchema } from './objects/schema-of.ts';
import { refOf, toStored } from './objects/stored.ts';

const manager = 'ostria';

/**
 * Makes sure that the namespaces and roles that everything relies on are there, and further objects. Roles that people froze are left
 * alone, and so are further objects that are there already.
 */
export async function bootstrap(
  context: Pick<ApiContext, 'store' | 'kinds' | 'convert'> & { clock: Clock },
  namespaces: readonly string[],
  more: readonly ConfigObject[] = [],
): Promise<void> {
  const objects: ConfigObject[] = [
    ...namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    ...builtInRoles(),
    ...more,
  ];
  for (const object of objects) await ensure(context, object);
}

type BootstrapContext = Pick<ApiContext, 'store' | 'kinds' | 'convert'> & { clock: Clock };

/** Creates an object as the system itself, if it is not there. True when it was made. */
export async function ensure(context: BootstrapContext, wanted: ConfigObject): Promise<boolean> {
  const group = wanted.apiVersion.includes('/')
    ? wanted.apiVersion.slice(0, wanted.apiVersion.indexOf('/'))
    : '';
  const kind = context.kinds.byKind(group, wanted.kind);
  if (!kind) return false;
  const ref = refOf(kind, wanted.metadata.namespace ?? '', wanted.metadata.name);
  const stored = await context.store.get(ref);
  if (stored) {
    await update(context.store, ref, stored.revision, stored.object, wanted);
    return false;
  }
  const version = storageVersion(kind);
  const time = new Date(context.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  const object = prepareNew(kind, {
    ...wanted,
    metadata: {
      ...wanted.metadata,
      uid: randomUUID(),
      creationTimestamp: time,
      ...(hasGeneration(kind, version) ? { generation: 1 } : {}),
    },
  });
  object.metadata.managedFields = recordUpdate({
    live: undefined,
    next: object,
    schema: objectSchema(version),
    manager,
    apiVersion: wanted.apiVersion,
    subresource: '',
    time,
    maxUpdateManagers: 10,
  });
  const result = await context.store.commit([
    { type: 'put', ref, object: toStored(context, object, kind), expect: 0 },
  ]);
  return result.ok;
}

/** Built-in roles follow the program's version, unless their `autoupdate` annotation was taken away. */
async function update(
  store: Store,
  ref: ObjectRef,
  expect: number,
  live: ConfigObject,
  wanted: ConfigObject,
): Promise<void> {
  const auto = live.metadata.annotations?.['rbac.authorization.kubernetes.io/autoupdate'] === 'true';
  if (
    !auto ||
    (equalJson(live.rules, wanted.rules) && equalJson(live.aggregationRule, wanted.aggregationRule))
  )
    return;
  const { resourceVersion: _revision, ...metadata } = live.metadata;
  const labels = { ...metadata.labels, ...wanted.metadata.labels };
  const { rules, aggregationRule } = wanted;
  const object = {
    ...live,
    metadata: { ...metadata, labels },
    rules,
    ...(aggregationRule === undefined ? {} : { aggregationRule }),
  };
  await store.commit([{ type: 'put', ref, object, expect }]);
}
