import { isObject, type JsonObject } from '../../../kit/json.ts';
import type { Kind } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { isCertificateRequest, withDecisions, withoutDecisions } from '../certificate-requests.ts';

/** What Kubernetes adds to new objects of some built-in kinds. */
export function prepareNew(kind: Kind, object: ConfigObject): ConfigObject {
  if (kind.group === '' && kind.kind === 'Namespace') return prepareNamespace(object);
  // Nothing runs pods that are only stored; one that an agent runs gets its phase from there.
  if (kind.group === '' && kind.kind === 'Pod') return { ...object, status: { phase: 'Pending' } };
  return prepareAny(kind, object);
}

/** What Kubernetes makes of every write of some built-in kinds. */
export function prepareAny(kind: Kind, object: ConfigObject): ConfigObject {
  return kind.group === '' && kind.kind === 'Secret' ? mergeStringData(object) : object;
}

function prepareNamespace(object: ConfigObject): ConfigObject {
  const labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
  return {
    ...object,
    metadata: { ...object.metadata, labels },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

/** `stringData` is a way to write a Secret, never a way to read it. */
function mergeStringData(object: ConfigObject): ConfigObject {
  const { stringData, ...rest } = object;
  if (!isObject(stringData)) return object;
  const data: JsonObject = isObject(rest.data) ? { ...rest.data } : {};
  for (const [key, value] of Object.entries(stringData)) {
    data[key] = Buffer.from(String(value)).toString('base64');
  }
  return { ...rest, data };
}

/** The live object with only that part of `changed` that a subresource may write. */
export function prepareSubresource(
  kind: Kind,
  live: ConfigObject,
  changed: ConfigObject,
  subresource: string,
): ConfigObject {
  const object: ConfigObject = { ...live, metadata: { ...live.metadata } };
  delete object.metadata.resourceVersion;
  delete object.metadata.managedFields;
  if (subresource === 'status') {
    if (changed.status === undefined) delete object.status;
    else if (isCertificateRequest(kind) && isObject(changed.status))
      object.status = withoutDecisions(live, changed.status);
    else object.status = changed.status;
  }
  if (subresource === 'approval') object.status = withDecisions(live, changed);
  if (subresource === 'finalize') {
    const finalizers = isObject(changed.spec) ? changed.spec.finalizers : undefined;
    object.spec = {
      ...(isObject(live.spec) ? live.spec : {}),
      finalizers: Array.isArray(finalizers) ? finalizers : [],
    };
  }
  return object;
}
