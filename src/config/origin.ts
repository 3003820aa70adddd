/**
 * Why a piece of configuration exists: the object and the field (a JSON path such as `spec.http[2].route[0]`, '' for the
 * whole object) that made it. File and line are resolved by readers through a side table, never kept here:
 * moving a line must send nothing.
 */
export interface Origin {
  kind: string;
  namespace: string;
  name: string;
  path: string;
}

/** The stable textual form, `Kind/namespace/name#path`, as stamped into Envoy metadata and policy names. */
export function originId(origin: Origin): string {
  const base = `${origin.kind}/${origin.namespace}/${origin.name}`;
  return origin.path === '' ? base : `${base}#${origin.path}`;
}

export function parseOriginId(id: string): Origin | undefined {
  const match = /^([^/#]+)\/([^/#]*)\/([^#]+?)(?:#(.*))?$/.exec(id);
  if (!match) return undefined;
  return { kind: match[1] ?? '', namespace: match[2] ?? '', name: match[3] ?? '', path: match[4] ?? '' };
}
