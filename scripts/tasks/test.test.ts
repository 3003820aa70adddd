import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { longFiles } from './longest-first.ts';
import { tasks } from './run-task.ts';
import { addTallies, closingLine, tallyConformance } from './tally.ts';
import { suites } from './test.ts';
import { failedFiles, onlyAtSecond, replaceFiles, tallyVitest } from './vitest-report.ts';

test('the closing line is plain, and names skipped tests only where there are some', () => {
  expect(closingLine({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed');
  expect(closingLine({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
});

const ran = (name: string, ...statuses: string[]) => ({
  name: `/repo/${name}`,
  status: statuses.includes('failed') ? 'failed' : 'passed',
  assertionResults: statuses.map((status, index) => ({
    status,
    fullName: `${name} ${index}`,
    failureMessages: status === 'failed' ? ['Error: 3 requests were lost\n    at somewhere'] : [],
  })),
});
const broken = (name: string, ...statuses: string[]) => ({ ...ran(name, ...statuses), status: 'failed' });

test('a file that does not load, or whose set-up fails, counts as a failed test', () => {
  const testResults = [
    ran('a', 'passed', 'passed', 'failed', 'pending'),
    ran('b', 'passed', 'todo'),
    broken('c'),
    broken('d', 'pending', 'pending'),
  ];
  expect(tallyVitest({ testResults })).toEqual({ passed: 3, failed: 3, skipped: 4 });
  expect(failedFiles({ testResults })).toEqual(['/repo/a', '/repo/c', '/repo/d']);
});

test('files that are run again count as they ended then, and what passed only then is named with what it had said', () => {
  const first = { testResults: [ran('a', 'passed', 'failed', 'failed'), ran('b', 'passed'), broken('c')] };
  const second = { testResults: [ran('a', 'passed', 'passed', 'failed'), ran('c', 'passed')] };
  expect(tallyVitest(replaceFiles(first, second))).toEqual({ passed: 4, failed: 1, skipped: 0 });
  expect(onlyAtSecond(first, second, '/repo')).toEqual([
    'a: a 1: Error: 3 requests were lost',
    'c: it did not come so far as its tests',
  ]);
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

test('the long test files are there', () => {
  const root = join(import.meta.dirname, '..', '..');
  expect(longFiles.filter((file) => !existsSync(join(root, file)))).toEqual([]);
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
