import type { SourceObject } from '../analyze/analyzer.ts';
import type { ConfigObject } from '../config/object.ts';
import { type ParsedChunk, parseYamlDocuments, type YamlProblem } from '../config/yaml-documents.ts';

/** One file of configuration. */
interface ConfigFile {
  readonly text: string;
  readonly chunks: readonly ParsedChunk[];
  readonly problems: readonly YamlProblem[];
}

/** Largest file that is looked at, in characters: larger ones are made by machines. */
const mostCharacters = 4 * 1024 * 1024;

/** The files that an editor knows, by path. What did not change is not parsed again. */
export class Workspace {
  readonly #files = new Map<string, ConfigFile>();
  readonly #described = new Map<string, readonly SourceObject[]>();
  /** Rises with every change. */
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  get paths(): readonly string[] {
    return [...this.#files.keys()];
  }

  text(path: string): string | undefined {
    return this.#files.get(path)?.text;
  }

  /** undefined: the file is gone. Files that hold no object of a mesh (a chart's templates, other people's YAML) are passed over. */
  set(path: string, text: string | undefined): void {
    const old = this.#files.get(path);
    if (old?.text === text) return;
    this.#revision++;
    if (text === undefined) this.#files.delete(path);
    else this.#files.set(path, parse(path, text, old));
  }

  /** What a file describes without holding it as objects (the services of a mesh file); empty: nothing. */
  describe(path: string, objects: readonly SourceObject[]): void {
    this.#revision++;
    if (objects.length === 0) this.#described.delete(path);
    else this.#described.set(path, objects);
  }

  /** All that the files hold and describe. What stands in a file goes before what is described under the same name. */
  objects(): SourceObject[] {
    const held = [...this.#files.values()].flatMap(({ chunks }) => chunks.flatMap(({ objects }) => objects));
    if (this.#described.size === 0) return held;
    const known = new Set(held.map(({ object }) => idOf(object)));
    const described = [...this.#described.values()].flat().filter(({ object }) => !known.has(idOf(object)));
    return [...described, ...held];
  }

  /** What keeps a file from being read. */
  problems(path: string): readonly YamlProblem[] {
    return this.#files.get(path)?.problems ?? [];
  }
}

function parse(path: string, text: string, old: ConfigFile | undefined): ConfigFile {
  if (text.length > mostCharacters || !holdsConfiguration(text)) return { text, chunks: [], problems: [] };
  const parsed = parseYamlDocuments(text, path, { reuse: old?.chunks ?? [] });
  return { text, chunks: parsed.chunks, problems: parsed.problems };
}

/** Templates are no YAML until they are rendered; a mesh file and a pipeline's YAML have no kind. */
function holdsConfiguration(text: string): boolean {
  return /^\s*["']?(apiVersion|kind)["']?\s*:/m.test(text) && !text.includes('{{');
}

function idOf(object: ConfigObject): string {
  const { name, namespace } = nameOf(object);
  return `${object.kind} ${namespace}/${name}`;
}

export function nameOf({ metadata }: ConfigObject): { readonly name: string; readonly namespace: string } {
  return { name: metadata?.name ?? '', namespace: metadata?.namespace || 'default' };
}
