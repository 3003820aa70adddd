import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { runChecks } from './check.ts';
import { addTallies, closingLine, noTests, type Tally, tallyConformance } from './tally.ts';
import { runNode, type Task, tools } from './task.ts';
import { setUpTestMachine } from './test-machine.ts';
import { failedFiles, onlyAtSecond, replaceFiles, tallyVitest, type VitestReport } from './vitest-report.ts';

interface Suite {
  readonly name: string;
  /** Beginnings of the paths of its test files. */
  readonly paths: readonly string[];
  /** Not these, which another suite has. */
  readonly without?: readonly string[];
  /** Test files that run at once. Default: as many as vitest.config.ts says, one for each of two cores. */
  readonly atOnce?: number;
  /**
   * Its tests start meshes of many processes: files that fail are run once more, alone, and what passes then is named at the end.
   * Never at night.
   */
  readonly again?: boolean;
}

const xdsPaths = ['test/xds/'];
const e2ePaths = ['test/e2e/', 'test/guides/', 'test/bench/'];

/** Every test file belongs to exactly one suite (a test asserts it). */
export const suites: readonly Suite[] = [
  { name: 'unit', paths: ['src/', 'scripts/', 'samples/', 'tools/', 'bin/'], without: ['test/'] },
  { name: 'xds', paths: xdsPaths },
  { name: 'goldens, properties and integration', paths: ['test/'], without: [...xdsPaths, ...e2ePaths] },
  // A third of their time they wait: for certificates to end, for logs to be written, for applications to answer late.
  { name: 'e2e', paths: e2ePaths, atOnce: 3, again: true },
];

/** More failed files than these are no bad luck. */
const mostAgain = 5;

/** What vitest is told of a suite's files: filters (a part of the path) and globs to leave out. */
function selection({ paths, without = [] }: Suite): string[] {
  return [...paths, ...without.map((path) => `--exclude=${path}**`)];
}

/** How a suite ended, and what passed only when it was run again. */
interface SuiteResult {
  readonly tally: Tally;
  readonly again: readonly string[];
}

async function runSuite(root: string, suite: Suite, scratch: string): Promise<SuiteResult> {
  process.stdout.write(`\nsuite: ${suite.name}\n`);
  const output = join(scratch, `${suite.name.replace(/\W+/g, '-')}.json`);
  const workers = suite.atOnce === undefined ? [] : [`--maxWorkers=${suite.atOnce}`];
  const first = await runVitest(root, [...selection(suite), ...workers], output);
  const failed = first.report ? failedFiles(first.report) : [];
  const worthwhile = failed.length > 0 && failed.length <= mostAgain;
  if (!first.report || !suite.again || !worthwhile || process.env.OSTRIA_NIGHTLY === '1')
    return { tally: tallyRun(first), again: [] };
  process.stdout.write(
    `\nsuite: ${suite.name}: ${failed.length} failed files once more, one after the other\n`,
  );
  const files = failed.map((file) => relative(root, file));
  const second = await runVitest(root, [...files, '--no-file-parallelism'], `${output}.again`);
  if (!second.report) return { tally: tallyRun(first), again: [] };
  const report = replaceFiles(first.report, second.report);
  return {
    tally: tallyRun({ code: second.code, report }),
    again: onlyAtSecond(first.report, second.report, root),
  };
}

/** One run of vitest: its exit code, and its report where there is one. */
interface VitestRun {
  readonly code: number;
  readonly report: VitestReport | undefined;
}

async function runVitest(root: string, args: readonly string[], output: string): Promise<VitestRun> {
  const code = await runNode(root, tools.vitest, [
    'run',
    ...args,
    '--passWithNoTests',
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${output}`],
  ]);
  const report = existsSync(output) ? (JSON.parse(readFileSync(output, 'utf8')) as VitestReport) : undefined;
  return { code, report };
}

function tallyRun({ code, report }: VitestRun): Tally {
  const tally = report ? tallyVitest(report) : noTests;
  // Unhandled errors fail a run whose tests all passed.
  return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
}

const conformanceRunner = 'test/conformance/run.ts';

async function runConformance(root: string, scratch: string): Promise<Tally> {
  process.stdout.write('\nsuite: conformance\n');
  const output = join(scratch, 'conformance.json');
  const code = await runNode(root, conformanceRunner, ['--json', output]);
  if (!existsSync(output)) return code === 0 ? noTests : { ...noTests, failed: 1 };
  return tallyConformance(JSON.parse(readFileSync(output, 'utf8')));
}

async function runStaticChecks(root: string): Promise<Tally> {
  const results = await runChecks(root);
  const passed = results.filter(({ ok }) => ok).length;
  return { passed, failed: results.length - passed, skipped: 0 };
}

async function runEverything(root: string): Promise<number> {
  await setUpTestMachine(root);
  const scratch = mkdtempSync(join(tmpdir(), 'ostria-test-'));
  try {
    const results: { name: string; seconds: number; tally: Tally }[] = [];
    const again: string[] = [];
    const part = async (name: string, run: () => Promise<Tally>): Promise<void> => {
      const begun = performance.now();
      const tally = await run();
      results.push({ name, tally, seconds: Math.round((performance.now() - begun) / 1000) });
    };
    await part('checks', () => runStaticChecks(root));
    for (const suite of suites)
      await part(suite.name, async () => {
        const result = await runSuite(root, suite, scratch);
        again.push(...result.again);
        return result.tally;
      });
    await part('conformance', () => runConformance(root, scratch));
    process.stdout.write('\n');
    for (const { name, tally, seconds } of results)
      process.stdout.write(`${name}: ${closingLine(tally)} (${seconds} s)\n`);
    for (const line of again) process.stdout.write(`passed only when run again: ${line}\n`);
    const sum = addTallies(results.map(({ tally }) => tally));
    process.stdout.write(`${closingLine(sum)}\n`);
    return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function vitestTask(summary: string, paths: readonly string[], build = false): Task {
  return {
    summary,
    build,
    run: ({ root, args }) => runNode(root, tools.vitest, ['run', ...paths, ...args]),
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
  'test:e2e': vitestTask('real Envoy, real kubectl', e2ePaths, true),
  'test:conformance': {
    summary: 'the peers’ own cases (--group G, --json FILE)',
    run: ({ root, args }) => runNode(root, conformanceRunner, args),
  },
};
