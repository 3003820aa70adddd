import { type RequestContext, subjectOf, type Target } from '../context.ts';
import { forbidden, notFound } from '../status.ts';

const namespaces = { group: '', resource: 'namespaces' };

/** Objects can be created only in a namespace that exists and is not going away. */
export async function requireNamespace(
  context: RequestContext,
  target: Target,
  namespace: string,
  name: string,
): Promise<void> {
  if (!target.kind.namespaced) return;
  const stored = await context.store.get({ resource: 'namespaces', namespace: '', name: namespace });
  if (!stored) throw notFound(namespaces, namespace);
  if (!stored.object.metadata.deletionTimestamp) return;
  const error = forbidden(
    subjectOf(target.kind),
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
  );
  error.status.details = {
    ...error.status.details,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  };
  throw error;
}
