import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import { createAdmitObject } from '../../control-plane/admit-object.ts';
import { readSources } from '../analyze/read-sources.ts';

export interface Finding {
  readonly severity: 'error' | 'warning';
  /** `file:line:column`; '' where it is not known. */
  readonly at: string;
  /** `VirtualService default/reviews`; '' where the file could not be read. */
  readonly object: string;
  /** With the field first. */
  readonly message: string;
}

/** What the server would say of each object of files. Kinds that it does not know are warned of. */
export function validateFiles(
  files: readonly string[],
  options: { readonly recursive?: boolean; readonly namespace?: string },
): { findings: Finding[]; objects: number } {
  const { sources, broken } = readSources(files, options);
  const kinds = createBuiltInRegistry();
  const admit = createAdmitObject(kinds);
  const findings: Finding[] = broken.map((line) => {
    const [, at = '', message = line] = /^error: (.*?:\d+:\d+): (.*)$/s.exec(line) ?? [];
    return { severity: 'error', at, object: '', message };
  });
  for (const { object, positions } of sources) {
    const place = (path: string): string => {
      const at = positions?.at(path);
      return at ? `${at.file}:${at.line}:${at.column}` : '';
    };
    const { namespace, name } = object.metadata ?? {};
    const words = `${object.kind} ${namespace ? `${namespace}/` : ''}${name}`;
    const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '';
    if (!kinds.byKind(group, object.kind)) {
      findings.push({
        severity: 'warning',
        at: place(''),
        object: words,
        message: `kind ${object.kind} of ${object.apiVersion} is not known here: it is not checked`,
      });
      continue;
    }
    for (const { severity, path, message } of admit(object).issues)
      findings.push({
        severity: severity === 'error' ? 'error' : 'warning',
        at: place(path),
        object: words,
        message: path === '' ? message : `${path}: ${message}`,
      });
  }
  return { findings, objects: sources.length };
}
