import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type RolldownOptions } from 'rolldown';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'));

/**
 * Three programs, three bundles: each is whole in itself and holds only what it uses (an idle sidecar pays for every
 * module that its agent loads).
 */
const programs = ['cli', 'control-plane', 'agent'];

/** Threads of the programs: files of their own, since a thread is started by its file. */
const threads = { 'yaml-worker': 'src/config/api-server/request/yaml-worker.ts' };

function bundle([program, input]: [name: string, input: string]): RolldownOptions {
  return {
    input: { [program]: input },
    platform: 'node',
    // Warnings of dependencies are not ours to mend; unresolved imports are errors in any case.
    checks: { eval: false },
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
    ...programs.map((program): [string, string] => [program, `src/${program}/main.ts`]),
    ...Object.entries(threads),
  ].map(bundle),
);
