import { notAcceptable } from '../status.ts';

export type ObjectForm = 'object' | 'table' | 'partial' | 'partial-list';

export interface Representation {
  type: 'application/json' | 'application/yaml';
  form: ObjectForm;
  /** The version of meta.k8s.io that was asked for with the form. */
  metaVersion: 'v1' | 'v1beta1';
}

interface AcceptEntry {
  type: string;
  params: Record<string, string>;
  q: number;
}

export function parseAccept(header: string | undefined): AcceptEntry[] {
  const entries: AcceptEntry[] = [];
  for (const part of (header ?? '').split(',').slice(0, 32)) {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim());
    if (type === '') continue;
    const params: Record<string, string> = {};
    for (const piece of rest) {
      const equals = piece.indexOf('=');
      if (equals > 0) params[piece.slice(0, equals).toLowerCase()] = piece.slice(equals + 1);
    }
    entries.push({ type: type.toLowerCase(), params, q: params.q === undefined ? 1 : Number(params.q) || 0 });
  }
  // Array.sort is stable: equal weights keep the client's order.
  return entries.filter((entry) => entry.q > 0).sort((a, b) => b.q - a.q);
}

const forms: Record<string, ObjectForm> = {
  Table: 'table',
  PartialObjectMetadata: 'partial',
  PartialObjectMetadataList: 'partial-list',
};

/** Picks the first entry of Accept that can be served. Throws 406 when there is none. */
export function negotiate(header: string | undefined): Representation {
  const entries = parseAccept(header);
  if (entries.length === 0) return { type: 'application/json', form: 'object', metaVersion: 'v1' };
  for (const entry of entries) {
    const type = concreteType(entry.type);
    if (!type) continue;
    if (entry.params.as === undefined) return { type, form: 'object', metaVersion: 'v1' };
    const form = forms[entry.params.as];
    const version = entry.params.v ?? 'v1';
    if (!form || (entry.params.g ?? 'meta.k8s.io') !== 'meta.k8s.io') continue;
    if (version === 'v1' || version === 'v1beta1') return { type, form, metaVersion: version };
  }
  throw notAcceptable(['application/json', 'application/yaml']);
}

function concreteType(type: string): Representation['type'] | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'application/json';
  if (type === 'application/yaml') return 'application/yaml';
  return undefined;
}
