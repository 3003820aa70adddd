#!/usr/bin/env node
// @ts-check
// The `ostria` command. Hands over to a Node that is recent enough, then runs the bundle, or the sources of a checkout
// that has none (or when OSTRIA_FROM_SOURCE=1 asks for them).
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { exitWith, LauncherError } from '../scripts/launcher/launcher-error.mjs';
import { become, ensureNode, environmentFor, isRecentEnough } from '../scripts/launcher/node-runtime.mjs';

const self = realpathSync(fileURLToPath(import.meta.url));
const root = dirname(dirname(self));

try {
  if (!isRecentEnough(process.version)) {
    const node = ensureNode();
    await become(node, [self, ...process.argv.slice(2)], environmentFor(node));
  }
  const candidates = [join(root, 'dist', 'cli.js'), join(root, 'src', 'cli', 'main.ts')];
  if (process.env.OSTRIA_FROM_SOURCE === '1') candidates.reverse();
  const main = candidates.find((path) => existsSync(path));
  if (!main)
    throw new LauncherError(
      `neither ${candidates.join(' nor ')} exists`,
      'install Ostria again, or run npm run build in the checkout',
    );
  if (main.endsWith('.ts')) {
    const { ensureDependencies } = await import('../scripts/launcher/dependencies.mjs');
    await ensureDependencies(root, process.execPath);
  }
  process.env.PATH = environmentFor(process.execPath).PATH;
  await import(pathToFileURL(main).href);
} catch (error) {
  exitWith(error);
}
