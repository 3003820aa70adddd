import { getAt } from '../../../kit/json.ts';
import type { Kind } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { badRequest } from '../status.ts';

export interface FieldSelector {
  matches: (object: ConfigObject) => boolean;
  /** The one name that can match, when the selector pins it: a list then reads a single object. */
  name?: string;
  namespace?: string;
}

type Reader = (object: ConfigObject) => string;

const field =
  (...path: string[]): Reader =>
  (object) => {
    const value = getAt(object, ...path);
    return value === undefined || value === null ? '' : String(value);
  };

const flag =
  (...path: string[]): Reader =>
  (object) =>
    String(getAt(object, ...path) === true);

const involved = (prefix: string): Record<string, Reader> =>
  Object.fromEntries(
    ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map((name) => [
      `involvedObject.${name}`,
      (object: ConfigObject) => field(prefix, name)(object),
    ]),
  );

/** Fields beyond metadata.name and metadata.namespace that Kubernetes lets one select by. */
const selectable: Record<string, Record<string, Reader>> = {
  '/Pod': {
    'spec.nodeName': field('spec', 'nodeName'),
    'spec.restartPolicy': field('spec', 'restartPolicy'),
    'spec.schedulerName': field('spec', 'schedulerName'),
    'spec.serviceAccountName': field('spec', 'serviceAccountName'),
    'spec.hostNetwork': flag('spec', 'hostNetwork'),
    'status.phase': field('status', 'phase'),
    'status.podIP': field('status', 'podIP'),
    'status.nominatedNodeName': field('status', 'nominatedNodeName'),
  },
  '/Event': {
    ...involved('involvedObject'),
    reason: field('reason'),
    reportingComponent: field('reportingComponent'),
    source: field('source', 'component'),
    type: field('type'),
  },
  'events.k8s.io/Event': { ...involved('regarding'), reason: field('reason'), type: field('type') },
  '/Secret': { type: field('type') },
  '/Namespace': { 'status.phase': field('status', 'phase') },
  '/Node': { 'spec.unschedulable': flag('spec', 'unschedulable') },
  '/Service': { 'spec.clusterIP': field('spec', 'clusterIP'), 'spec.type': field('spec', 'type') },
  'batch/Job': { 'status.successful': field('status', 'succeeded') },
  'apps/ReplicaSet': { 'status.replicas': field('status', 'replicas') },
};

/** Parses `metadata.name=a,status.phase!=Running`. Throws 400, also for fields that cannot be selected by. */
export function parseFieldSelector(text: string | null, kind: Kind): FieldSelector | undefined {
  if (text === null || text.trim() === '') return undefined;
  const tests: ((object: ConfigObject) => boolean)[] = [];
  const result: FieldSelector = { matches: (object) => tests.every((test) => test(object)) };
  for (const part of splitTerms(text)) {
    const match = /^([^=!]+?)(==|!=|=)(.*)$/s.exec(part);
    if (!match)
      throw badRequest(`invalid field selector '${text}': '${part}' must be field=value or field!=value`);
    const name = (match[1] ?? '').trim();
    const value = unescapeValue(match[3] ?? '');
    const negated = match[2] === '!=';
    const read = readerOf(kind, name);
    if (!read) throw badRequest(unsupported(kind, name));
    tests.push((object) => (read(object) === value) !== negated);
    if (!negated && name === 'metadata.name') result.name = value;
    if (!negated && name === 'metadata.namespace') result.namespace = value;
  }
  return result;
}

function readerOf(kind: Kind, name: string): Reader | undefined {
  if (name === 'metadata.name') return field('metadata', 'name');
  if (name === 'metadata.namespace') return kind.namespaced ? field('metadata', 'namespace') : undefined;
  return selectable[`${kind.group}/${kind.kind}`]?.[name];
}

function unsupported(kind: Kind, name: string): string {
  const known = ['metadata.name', ...(kind.namespaced ? ['metadata.namespace'] : [])];
  known.push(...Object.keys(selectable[`${kind.group}/${kind.kind}`] ?? {}));
  return `field label not supported: ${name} (${kind.kind} can be selected by ${known.join(', ')})`;
}

/** Splits at commas; a backslash escapes comma, equals and backslash. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let term = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === '\\') {
      term += char + (text[at + 1] ?? '');
      at++;
    } else if (char === ',') {
      terms.push(term);
      term = '';
    } else term += char;
  }
  terms.push(term);
  return terms.filter((one) => one.trim() !== '');
}

function unescapeValue(value: string): string {
  return value.replaceAll(/\\([\\,=])/g, '$1');
}
