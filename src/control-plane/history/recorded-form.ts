import type { ConfigObject, ManagedFieldsEntry } from '../../config/object.ts';
import { deepEqual } from '../../kit/deep-equal.ts';

/** Kinds that say nothing about configuration or discovery, and change all the time. */
const ignored: ReadonlySet<string> = new Set(['/Event', 'events.k8s.io/Event', 'coordination.k8s.io/Lease']);

export function isRecorded(kind: string): boolean {
  return !ignored.has(kind);
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * What the history keeps of an object: what people write and what the compile reads. Who manages which field and how often it was
 * written is left out, and what we ourselves say of it in its status. kubectl's copy of what was applied would hold a Secret's
 * values once more.
 */
export function recordedForm(object: ConfigObject, secretVersions?: SecretVersions): ConfigObject {
  const {
    managedFields: _owners,
    resourceVersion: _version,
    generation: _generation,
    ...kept
  } = object.metadata;
  const { annotations } = kept;
  if (annotations && lastApplied in annotations) {
    const { [lastApplied]: _applied, ...others } = annotations;
    if (Object.keys(others).length > 0) kept.annotations = others;
    else delete kept.annotations;
  }
  // In the order of the fields as they came: people read this.
  const { status: _status, ...recorded } = { ...object, metadata: kept };
  Object.assign(recorded, statusOf(object.kind, object.status));
  return object.kind === 'Secret' && object.apiVersion === 'v1'
    ? redacted(recorded, secretVersions)
    : recorded;
}

/** Of statuses, what decides who is called: it is written by others than us. */
function statusOf(kind: string, status: unknown): { status?: unknown } {
  const fields = (status ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'Service' && fields.loadBalancer !== undefined)
    return { status: { loadBalancer: fields.loadBalancer } };
  const conditions = Array.isArray(fields.conditions)
    ? fields.conditions.map(({ type, status }: { type: string; status: string }) => ({ type, status }))
    : undefined;
  // Whose agent reports health is no endpoint before it is well.
  const health = conditions?.filter(({ type }) => type === 'Healthy') ?? [];
  if (kind === 'WorkloadEntry' && health.length > 0) return { status: { conditions: health } };
  if (kind !== 'Pod') return {};
  const kept = { phase: fields.phase, podIP: fields.podIP, podIPs: fields.podIPs, conditions };
  const known = Object.entries(kept).filter(([, value]) => value !== undefined);
  return known.length > 0 ? { status: Object.fromEntries(known) } : {};
}

/** How often each value of a Secret has changed since it was first seen. */
export type SecretVersions = Readonly<Record<string, number>>;

const secretFields = ['data', 'stringData'] as const;

function redacted(secret: ConfigObject, versions: SecretVersions = {}): ConfigObject {
  const copy: ConfigObject = { ...secret };
  for (const field of secretFields) {
    const values = secret[field];
    if (typeof values !== 'object' || values === null) continue;
    copy[field] = Object.fromEntries(
      Object.keys(values).map((name) => [name, `[not kept: value ${versions[name] ?? 1}]`]),
    );
  }
  return copy;
}

/** The versions of a Secret's values after a change; `before` absent: they count as what they were. */
export function nextSecretVersions(
  versions: SecretVersions,
  before: ConfigObject | undefined,
  after: ConfigObject,
): SecretVersions {
  const old = valuesOf(before);
  return Object.fromEntries(
    Object.entries(valuesOf(after)).map(([name, value]) => {
      const version = versions[name];
      if (version === undefined) return [name, 1];
      const changed = before !== undefined && old[name] !== value;
      return [name, changed ? version + 1 : version];
    }),
  );
}

/** The versions that a recorded Secret tells of. */
export function secretVersionsOf(recorded: ConfigObject): SecretVersions {
  return Object.fromEntries(
    Object.entries(valuesOf(recorded)).map(([name, text]) => [
      name,
      Number(/value (\d+)\]$/.exec(String(text))?.[1] ?? 1),
    ]),
  );
}

function valuesOf(secret: ConfigObject | undefined): Readonly<Record<string, unknown>> {
  return { ...(secret?.data as object | undefined), ...(secret?.stringData as object | undefined) };
}

/**
 * The field manager of a write: whose entry is new. Where entries only went, or nothing tells, the newest entry's. What writes a
 * status is not meant.
 */
export function writerOf(before: ConfigObject | undefined, after: ConfigObject): string | undefined {
  const old = before?.metadata.managedFields ?? [];
  const own = (after.metadata.managedFields ?? []).filter(({ subresource }) => !subresource);
  const fresh = own.filter((entry) => !old.some((one) => deepEqual(one, entry)));
  return newest(fresh.length > 0 ? fresh : own)?.manager;
}

function newest(entries: readonly ManagedFieldsEntry[]): ManagedFieldsEntry | undefined {
  return entries.toSorted((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1))[0];
}
