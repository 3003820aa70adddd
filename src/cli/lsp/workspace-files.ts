import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Most files of configuration that are read of a workspace. */
const mostFiles = 5_000;
/** Folders that hold other people's files. */
const passedOver = new Set(['node_modules', '.git', 'vendor', 'dist', 'target']);

/** The YAML files below a folder, without those of dependencies; the first 5,000 of them, by name. */
export function yamlFilesOf(folder: string): string[] {
  const found: string[] = [];
  const open = [folder];
  while (open.length > 0 && found.length < mostFiles) {
    const at = open.pop() as string;
    for (const entry of entriesOf(at)) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) {
        if (!passedOver.has(entry.name) && !entry.name.startsWith('.')) open.push(path);
      } else if (/\.ya?ml$/.test(entry.name) && found.length < mostFiles) found.push(path);
    }
  }
  return found;
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    // A folder that goes away or may not be read has nothing to say.
    return [];
  }
}

/** The text of a file; undefined where there is none. */
export function readText(path: string): string | undefined {
  try {
    return statSync(path).isFile() ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
