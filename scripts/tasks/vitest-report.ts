import { relative } from 'node:path';
import type { Tally } from './tally.ts';

/** What we read of vitest's JSON report. */
export interface VitestReport {
  readonly testResults: readonly FileReport[];
}

interface FileReport {
  /** Path of the test file. */
  readonly name: string;
  readonly status: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages?: readonly string[] | null;
  }[];
}

/** How a report's tests ended. A file that failed without a failed test (it did not load, its set-up failed) counts as one more. */
export function tallyVitest({ testResults }: VitestReport): Tally {
  const statuses = testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ status }) => status),
  );
  const passed = statuses.filter((status) => status === 'passed').length;
  const failed = statuses.filter((status) => status === 'failed').length;
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && assertionResults.every((one) => one.status !== 'failed'),
  );
  return { passed, failed: failed + broken.length, skipped: statuses.length - passed - failed };
}

export function failedFiles({ testResults }: VitestReport): string[] {
  return testResults.filter(({ status }) => status === 'failed').map(({ name }) => name);
}

/** The report of two runs, the second of which was of some files only: these are as they were then. */
export function replaceFiles(first: VitestReport, second: VitestReport): VitestReport {
  const again = new Set(second.testResults.map(({ name }) => name));
  return {
    testResults: [...first.testResults.filter(({ name }) => !again.has(name)), ...second.testResults],
  };
}

/** One line for each test that failed in the first run and not in the second, and the beginning of what it said. */
export function onlyAtSecond(first: VitestReport, second: VitestReport, root: string): string[] {
  const passed = new Set(
    second.testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === 'passed')
        .map(({ fullName }) => `${name} ${fullName}`),
    ),
  );
  return first.testResults.flatMap(({ name, status, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter((one) => one.status === 'failed');
    const lines = failed
      .filter(({ fullName }) => passed.has(`${name} ${fullName}`))
      .map(({ fullName, failureMessages }) => `${file}: ${fullName}: ${beginning(failureMessages?.[0])}`);
    const recovered = status === 'failed' && failed.length === 0 && !failedFiles(second).includes(name);
    return recovered ? [`${file}: it did not come so far as its tests`] : lines;
  });
}

/** Without the stack, and no more of it than a reader takes in. */
function beginning(message = 'it said nothing'): string {
  const text = message.split('\n    at ')[0] ?? '';
  return text.length > 1_000 ? `${text.slice(0, 1_000)} …` : text;
}
