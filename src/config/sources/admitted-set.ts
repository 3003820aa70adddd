import type { Issue } from '../kind.ts';
import { type ConfigObject, objectKey } from '../object.ts';
import type { ParsedObject, ParsedYaml } from '../yaml-documents.ts';
import type { YamlPositions } from '../yaml-positions.ts';
import type { Breather } from './breather.ts';
import type { SourceProblem } from './source-problem.ts';

/** Checks an object as admission does and fills its defaults. An issue of severity `error` refuses the whole set. */
export type Admit = (object: ConfigObject) => { object: ConfigObject; issues: readonly Issue[] };

/** Whether objects of a kind live in namespaces; undefined for a kind that nobody knows. */
export type IsNamespaced = (group: string, kind: string) => boolean | undefined;

export interface AdmittedObject {
  group: string;
  kind: string;
  /** `namespace/name`. */
  key: string;
  object: ConfigObject;
  positions: YamlPositions;
}

/** Objects by identity (`group/kind/namespace/name`), and everything wrong with them. */
export interface AdmittedSet {
  objects: Map<string, AdmittedObject>;
  problems: SourceProblem[];
}

interface Admission {
  object: ConfigObject;
  issues: readonly Issue[];
}

/** With what identifies the object, made once: a directory is put together anew after each change of one of its files. */
interface KnownAdmission extends Admission {
  group: string;
  kind: string;
  key: string;
  /** Undefined: the object has no name. */
  id: string | undefined;
}

/** Turns parsed files into one set. What was admitted once is not checked again while its text stays. */
export class SetBuilder {
  readonly #admit: Admit;
  readonly #namespaced: IsNamespaced;
  #admitted = new WeakMap<ConfigObject, KnownAdmission>();

  constructor(admit: Admit, namespaced: IsNamespaced) {
    this.#admit = admit;
    this.#namespaced = namespaced;
  }

  /** Checks everything anew next time: what `admit` says may have changed with the kinds. */
  forget(): void {
    this.#admitted = new WeakMap();
  }

  async build(files: ReadonlyMap<string, ParsedYaml>, breather: Breather): Promise<AdmittedSet> {
    const set: AdmittedSet = { objects: new Map(), problems: [] };
    for (const parsed of files.values()) {
      for (const problem of parsed.problems) set.problems.push({ severity: 'error', ...problem });
      for (const found of parsed.objects) {
        this.#add(found, set);
        if (breather.due()) await breather.breathe();
      }
    }
    return set;
  }

  #add(found: ParsedObject, set: AdmittedSet): void {
    const { object, issues, group, kind, key, id } = this.#admission(found.object);
    const { positions } = found;
    for (const { severity, code, message, path } of issues) {
      const name = describe(object);
      set.problems.push({ severity, code, message, object: name, path, ...place(positions, path) });
    }
    if (id === undefined) return;
    const first = set.objects.get(id);
    if (first) {
      set.problems.push(duplicate(describe(object), positions, first.positions));
      return;
    }
    set.objects.set(id, { group, kind, key, object, positions });
  }

  #admission(source: ConfigObject): KnownAdmission {
    const known = this.#admitted.get(source);
    if (known) return known;
    const { object, issues } = source.metadata.name
      ? this.#admit(this.#inNamespace(source))
      : nameless(source);
    const { group, kind } = typeOf(object);
    const key = objectKey(object);
    const id = object.metadata.name ? `${group}/${kind}/${key}` : undefined;
    const admission = { object, issues, group, kind, key, id };
    this.#admitted.set(source, admission);
    return admission;
  }

  #inNamespace(object: ConfigObject): ConfigObject {
    const { group, kind } = typeOf(object);
    const namespaced = this.#namespaced(group, kind);
    const { namespace, ...metadata } = object.metadata;
    if (namespaced === true)
      return { ...object, metadata: { ...metadata, namespace: namespace || 'default' } };
    if (namespaced === false || !namespace) return { ...object, metadata };
    return object;
  }
}

/** Nobody answers a file with a generated name, and each reading would make another one. */
function nameless(object: ConfigObject): Admission {
  const message = 'generateName makes a new object at each reading of the file; write metadata.name';
  return {
    object,
    issues: [{ path: 'metadata.generateName', severity: 'error', code: 'FieldValueForbidden', message }],
  };
}

function duplicate(name: string, positions: YamlPositions, first: YamlPositions): SourceProblem {
  const earlier = first.at('metadata.name');
  return {
    severity: 'error',
    code: 'DuplicateObject',
    message: `also stands at ${earlier.file}:${earlier.line}:${earlier.column}, and only one of them can hold; remove one, or change its name or namespace`,
    object: name,
    ...place(positions, 'metadata.name'),
  };
}

function place(positions: YamlPositions, path: string): { file: string; line: number; column: number } {
  return positions.at(path);
}

function typeOf(object: ConfigObject): { group: string; kind: string } {
  const slash = object.apiVersion.indexOf('/');
  return { group: slash === -1 ? '' : object.apiVersion.slice(0, slash), kind: object.kind };
}

function describe(object: ConfigObject): string {
  const { namespace, name, generateName } = object.metadata;
  return `${object.kind} ${namespace ? `${namespace}/` : ''}${name ?? generateName}`;
}
