import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseFeatureName, scaffoldFeature } from './new-feature.ts';

const root = join(import.meta.dirname, '..', '..');
let scratch: string;

beforeEach(() => {
  // A tree like ours, of which only features/ is its own.
  scratch = mkdtempSync(join(tmpdir(), 'ostria-feature-'));
  mkdirSync(join(scratch, 'src'));
  for (const folder of ['kit', 'config', 'registry', 'snapshot', 'plan', 'envoy'])
    symlinkSync(join(root, 'src', folder), join(scratch, 'src', folder));
  for (const folder of ['gen', 'node_modules']) symlinkSync(join(root, folder), join(scratch, folder));
  cpSync(join(root, 'src', 'features'), join(scratch, 'src', 'features'), { recursive: true });
  writeFileSync(join(scratch, 'package.json'), '{"type": "module"}');
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

test('names', () => {
  expect(parseFeatureName('traffic/header-limit')).toEqual({ group: 'traffic', name: 'header-limit' });
  for (const bad of [undefined, 'x', 'other/x', 'traffic/Bad', 'traffic/a/b'])
    expect(parseFeatureName(bad)).toContain('GROUP/NAME');
});

test('a new feature compiles, is listed, and has no effect until a route asks for it', () => {
  for (const [group, name] of [
    ['traffic', 'header-limit'],
    ['security', 'audit-mark'],
  ] as const)
    scaffoldFeature(scratch, { group, name });
  const index = readFileSync(join(scratch, 'src', 'features', 'index.ts'), 'utf8');
  expect(index).toContain("import { headerLimit } from './traffic/header-limit/feature.ts';");
  expect(index).toMatch(/ {2}auditMark,\n\];/);
  expect(() => scaffoldFeature(scratch, { group: 'traffic', name: 'header-limit' })).toThrow(
    'exists already',
  );

  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  const options = {
    ...compilerOptions,
    incremental: false,
    allowJs: false,
    checkJs: false,
    preserveSymlinks: true,
  };
  delete options.tsBuildInfoFile;
  writeFileSync(
    join(scratch, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, include: ['src/features/index.ts'] }),
  );
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', scratch], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
