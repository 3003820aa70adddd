import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks } from './check.ts';
import { runNode, type Task, tools } from './task.ts';
import { setUpTestMachine } from './test-machine.ts';

/** How many tests ended how. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const none: Tally = { passed: 0, failed: 0, skipped: 0 };

export function addTallies(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (sum, { passed, failed, skipped }) => ({
      passed: sum.passed + passed,
      failed: sum.failed + failed,
      skipped: sum.skipped + skipped,
    }),
    none,
  );
}

/** The last line of a whole run: `12 passed, 0 failed`, with `, 3 skipped` behind it where some were. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Reads vitest's JSON report. A file that could not be loaded has no tests: it counts as one failed test. */
export function tallyVitest(report: {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests?: number;
  testResults: readonly { status: string; assertionResults: readonly unknown[] }[];
}): Tally {
  const unloadable = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
  };
}

/** Reads what the conformance runner wrote with `--json`. */
export function tallyConformance(report: { groups: Readonly<Record<string, Tally>> }): Tally {
  return addTallies(Object.values(report.groups));
}

interface Suite {
  readonly name: string;
  /** Beginnings of the paths of its test files. */
  readonly paths: readonly string[];
  /** Not these, which another suite has. */
  readonly without?: readonly string[];
  /** Run these test files one after the other: they start processes and measure time. */
  readonly serial?: boolean;
}

const xdsPaths = ['test/xds/'];
const e2ePaths = ['test/e2e/', 'test/bench/'];

/** Every test file belongs to exactly one suite (a test asserts it). */
export const suites: readonly Suite[] = [
  { name: 'unit', paths: ['src/', 'scripts/', 'samples/', 'tools/', 'bin/'], without: ['test/'] },
  { name: 'xds', paths: xdsPaths },
  { name: 'goldens, properties and integration', paths: ['test/'], without: [...xdsPaths, ...e2ePaths] },
  { name: 'e2e', paths: e2ePaths, serial: true },
];

/** What vitest is told of a suite's files: filters (a part of the path) and globs to leave out. */
function selection({ paths, without = [] }: Suite): string[] {
  return [...paths, ...without.map((path) => `--exclude=${path}**`)];
}

async function runSuite(root: string, suite: Suite, scratch: string): Promise<Tally> {
  process.stdout.write(`\nsuite: ${suite.name}\n`);
  const output = join(scratch, `${suite.name.replace(/\W+/g, '-')}.json`);
  const code = await runNode(root, tools.vitest, [
    'run',
    ...selection(suite),
    '--passWithNoTests',
    ...(suite.serial ? ['--no-file-parallelism'] : []),
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${output}`],
  ]);
  if (!existsSync(output)) return code === 0 ? none : { ...none, failed: 1 };
  const tally = tallyVitest(JSON.parse(readFileSync(output, 'utf8')));
  // Unhandled errors fail a run whose tests all passed.
  return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
}

const conformanceRunner = 'test/conformance/run.ts';

async function runConformance(root: string, scratch: string): Promise<Tally> {
  process.stdout.write('\nsuite: conformance\n');
  const output = join(scratch, 'conformance.json');
  const code = await runNode(root, conformanceRunner, ['--json', output]);
  if (!existsSync(output)) return code === 0 ? none : { ...none, failed: 1 };
  return tallyConformance(JSON.parse(readFileSync(output, 'utf8')));
}

async function runEverything(root: string): Promise<number> {
  await setUpTestMachine(root);
  const scratch = mkdtempSync(join(tmpdir(), 'ostria-test-'));
  try {
    const results = await runChecks(root);
    const tallies: [string, Tally][] = [
      [
        'checks',
        {
          passed: results.filter(({ ok }) => ok).length,
          failed: results.filter(({ ok }) => !ok).length,
          skipped: 0,
        },
      ],
    ];
    for (const suite of suites) tallies.push([suite.name, await runSuite(root, suite, scratch)]);
    tallies.push(['conformance', await runConformance(root, scratch)]);
    process.stdout.write('\n');
    for (const [name, tally] of tallies) process.stdout.write(`${name}: ${closingLine(tally)}\n`);
    const sum = addTallies(tallies.map(([, tally]) => tally));
    process.stdout.write(`${closingLine(sum)}\n`);
    return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function vitestTask(summary: string, paths: readonly string[], flags: readonly string[] = []): Task {
  return {
    summary,
    build: flags.includes('--no-file-parallelism'),
    run: ({ root, args }) => runNode(root, tools.vitest, ['run', ...paths, ...flags, ...args]),
  };
}

export const testTasks: Readonly<Record<string, Task>> = {
  test: {
    summary: 'every check and every test; ends with the line "N passed, N failed"',
    build: true,
    run: ({ root }) => runEverything(root),
  },
  'test:unit': vitestTask('the tests beside the code', suites[0] ? selection(suites[0]) : []),
  'test:xds': vitestTask('the fake Envoy client against the xDS server', [...xdsPaths, 'src/xds/']),
  'test:e2e': vitestTask('real Envoy, real kubectl', e2ePaths, ['--no-file-parallelism']),
  'test:conformance': {
    summary: 'the peers’ own cases (--group G, --json FILE)',
    run: ({ root, args }) => runNode(root, conformanceRunner, args),
  },
};
