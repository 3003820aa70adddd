import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tasks } from './run-task.ts';
import { addTallies, closingLine, suites, tallyConformance, tallyVitest } from './test.ts';

test('the closing line is plain, and names skipped tests only where there are some', () => {
  expect(closingLine({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed');
  expect(closingLine({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
});

test('a file that does not load counts as a failed test', () => {
  const report = {
    numPassedTests: 4,
    numFailedTests: 1,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{}] },
      { status: 'passed', assertionResults: [{}] },
    ],
  };
  expect(tallyVitest(report)).toEqual({ passed: 4, failed: 2, skipped: 3 });
});

test('suites and conformance groups are summed', () => {
  const groups = {
    validate: { passed: 2, failed: 1, skipped: 0 },
    routing: { passed: 1, failed: 0, skipped: 5 },
  };
  expect(addTallies([tallyConformance({ groups }), { passed: 1, failed: 0, skipped: 0 }])).toEqual({
    passed: 4,
    failed: 1,
    skipped: 5,
  });
});

test('every test file of the tree belongs to exactly one suite', () => {
  const root = join(import.meta.dirname, '..', '..');
  const files = ['src', 'test', 'samples', 'tools', 'scripts', 'bin'].flatMap((top) =>
    globSync(`${top}/**/*.test.ts`, { cwd: root }),
  );
  expect(files.length).toBeGreaterThan(5);
  const owners = files.map((file) => ({
    file,
    suites: suites
      .filter(({ paths, without = [] }) => {
        // Vitest takes a file when its path contains a filter and no exclusion matches it.
        const taken = paths.some((path) => file.includes(path));
        return taken && !without.some((path) => file.startsWith(path));
      })
      .map(({ name }) => name),
  }));
  expect(owners.filter(({ suites }) => suites.length !== 1)).toEqual([]);
});

test('npm knows every task, and every task is there', () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'));
  const scripts = Object.entries<string>(manifest.scripts).filter(([, command]) =>
    command.includes('launch.mjs'),
  );
  expect(scripts.map(([name]) => name).sort()).toEqual(Object.keys(tasks).sort());
  for (const [name, command] of scripts) expect(command).toBe(`node scripts/launch.mjs ${name}`);
});
