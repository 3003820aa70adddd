#!/usr/bin/env node
// @ts-check
// The way into every npm script. Runs on Node 18 and newer and brings a newer Node, the dependencies and the build along.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitWith } from './launcher/launcher-error.mjs';
import { become, ensureNode, environmentFor, isRecentEnough } from './launcher/node-runtime.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [task, ...args] = process.argv.slice(2);

try {
  if (!isRecentEnough(process.version)) {
    const node = ensureNode();
    await become(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], environmentFor(node));
  }
  process.chdir(root);
  process.env.PATH = environmentFor(process.execPath).PATH;
  const { ensureDependencies } = await import('./launcher/dependencies.mjs');
  await ensureDependencies(root, process.execPath);
  const { runTask } = await import(join(root, 'scripts', 'tasks', 'run-task.ts'));
  process.exitCode = await runTask(task, args, root);
} catch (error) {
  exitWith(error);
}
