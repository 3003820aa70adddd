import type { ConfigChange } from '../config/sources/source.ts';
import type { MeshConfig } from '../registry/mesh-config.ts';
import { Registry } from '../registry/registry.ts';
import { World } from '../snapshot/world.ts';
import { worldChanges } from './for-compile.ts';
import { splitId } from './model-objects.ts';
import type { CompileInput } from './standing-compile.ts';

/** The objects that differ between two inputs. */
export function changesBetween(before: CompileInput | undefined, after: CompileInput): ConfigChange[] {
  const changes: ConfigChange[] = [];
  for (const [id, object] of after.objects)
    if (before?.objects.get(id) !== object) changes.push({ ...splitId(id), object });
  for (const id of before?.objects.keys() ?? []) if (!after.objects.has(id)) changes.push(splitId(id));
  return changes;
}

/** A world that no proxy looks at: it moves between the models of a family for what differs between them, and compiles nothing. */
export class WorldReader {
  readonly #world = new World();
  readonly #registry: Registry;
  #at: CompileInput | undefined;

  constructor(mesh: MeshConfig) {
    this.#registry = new Registry({ mesh });
  }

  /** The world of an input: valid until another is asked about. */
  of(input: CompileInput): World {
    if (this.#at === input) return this.#world;
    const changes = changesBetween(this.#at, input);
    if (this.#at?.mesh !== input.mesh) {
      this.#world.setMesh(input.mesh);
      this.#world.apply(this.#registry.setMesh(input.mesh));
    }
    this.#world.apply(worldChanges(changes));
    this.#world.apply(this.#registry.apply(changes));
    this.#at = input;
    return this.#world;
  }
}
