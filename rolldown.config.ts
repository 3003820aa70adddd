import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type RolldownOptions, type RolldownPlugin } from 'rolldown';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'));

/**
 * Three programs, three bundles: each is whole in itself and holds only what it uses (an idle sidecar pays for every
 * module that its agent loads).
 */
const programs = ['cli', 'control-plane', 'agent'];

/** What users import: `ostria/testing`. */
const libraries = ['testing'];

/** Threads of the programs: files of their own, since a thread is started by its file. */
const threads = { 'yaml-worker': 'src/config/api-server/request/yaml-worker.ts' };

/**
 * V8 keeps the text of a program, at two bytes a character as soon as one of them is not Latin-1: one arrow in a message costs the
 * control plane 5 MB. Wherever such characters stand (texts, regular expressions, comments) an escape means the same.
 */
const asciiText: RolldownPlugin = {
  name: 'ascii-text',
  renderChunk: (code) => ({
    code: code.replace(
      /[^\0-\x7f]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
    map: null,
  }),
};

function bundle([program, input]: [name: string, input: string]): RolldownOptions {
  return {
    input: { [program]: input },
    platform: 'node',
    // Warnings of dependencies are not ours to mend; unresolved imports are errors in any case.
    checks: { eval: false },
    plugins: [asciiText],
    // In a bundle `import.meta.main` would be true for every module in it, not only for the one that was started.
    transform: { define: { __OSTRIA_VERSION__: JSON.stringify(version), 'import.meta.main': 'false' } },
    treeshake: { moduleSideEffects: [{ test: /\/gen\//, sideEffects: false }] },
    output: {
      dir: process.env.OSTRIA_DIST ?? 'dist',
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: `${program}-[name]-[hash].js`,
      sourcemap: true,
      minify: false,
    },
  };
}

export default defineConfig(
  [
    ...[...programs, ...libraries].map((program): [string, string] => [program, `src/${program}/main.ts`]),
    ...Object.entries(threads),
  ].map(bundle),
);
