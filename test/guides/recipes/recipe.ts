import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { root } from '../../support/ostria.ts';

/** What a recipe of a guide promises. */
export interface Promises {
  /** The heading above the recipe. */
  readonly title: string;
  /** Which of the YAML blocks below the heading, from 0; default: the only one. */
  readonly block?: number;
  /** A mesh file instead of Bookinfo's. */
  readonly mesh?: string;
  /** Objects that commands of the guide make. */
  readonly objects?: (directory: string) => object;
  /** As in a `*.mesh-test.yaml` file. */
  readonly tests: readonly unknown[];
}

/** The YAML blocks of a guide by the heading above them, in the order of the text. */
export function recipesOf(guide: string): Map<string, string[]> {
  const text = readFileSync(join(root, 'docs', 'guides', guide), 'utf8');
  const recipes = new Map<string, string[]>();
  for (const section of text.split(/^## /m).slice(1)) {
    const [title = ''] = section.split('\n');
    const blocks = [...section.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml);
    if (blocks.length > 0) recipes.set(title, blocks);
  }
  return recipes;
}

/** Writes the recipe and a test file of its promises into a new directory. */
export function writeRecipe(directory: string, yaml: string, { mesh, objects, tests }: Promises): void {
  mkdirSync(directory);
  const files = {
    'recipe.yaml': yaml,
    'mesh.yaml': mesh,
    'objects.json': objects && JSON.stringify(objects(directory)),
  };
  const config = mesh === undefined ? [join(root, 'samples', 'bookinfo', 'mesh.yaml')] : [];
  for (const [name, text] of Object.entries(files))
    if (text !== undefined) {
      writeFileSync(join(directory, name), text);
      config.push(name);
    }
  writeFileSync(join(directory, 'recipe.mesh-test.yaml'), stringify({ config, tests }));
}
