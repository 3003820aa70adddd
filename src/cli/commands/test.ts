import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured } from '../output/structured.ts';
import { out } from '../output/style.ts';

interface TestFlags {
  readonly filename: readonly string[];
  readonly output?: 'json' | 'yaml' | 'junit';
  readonly junitFile?: string;
  readonly schema?: boolean;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerTest(program: Command): void {
  program
    .command('test')
    .summary('check what becomes of requests, on files alone')
    .description(
      'Runs the assertions of *.mesh-test.yaml files against configuration: who may call what, where requests go, with which weights, timeouts, retries and headers, and what cannot be reached. Nothing needs to run. Where something is not as expected, the object and line that decided is shown.',
    )
    .argument('[paths...]', 'test files, or directories in which they are looked for (default: here)')
    .option(
      '-f, --filename <path>',
      'configuration to test, in place of what the files name (repeatable)',
      gather,
      [],
    )
    .addOption(new Option('-o, --output <format>', 'junit, json or yaml').choices(['junit', 'json', 'yaml']))
    .option('--junit-file <file>', 'write JUnit XML to a file too')
    .option('--schema', 'print the JSON schema of test files, for editors')
    .addHelpText(
      'after',
      `
Examples:
  ostria test
  ostria test routes.mesh-test.yaml
  ostria test mesh/ -f k8s/ --junit-file results.xml

Ends with 0 if everything is as expected, with 1 if something is not, and with 3 if a file does not read.`,
    )
    .action(runTest);
}

async function runTest(paths: string[], flags: TestFlags): Promise<void> {
  if (flags.schema) {
    const { testFileSchema } = await import('../test/test-file-schema.ts');
    process.stdout.write(formatStructured(testFileSchema, 'json'));
    return;
  }
  // Loaded where it is needed only: the compile is most of a control plane.
  const { findTestFiles, runTestFiles } = await import('../test/run-tests.ts');
  const { formatJunit, formatResults } = await import('../test/format-results.ts');
  const files = findTestFiles(paths.length > 0 ? paths : ['.']);
  if (files.length === 0)
    throw new CodedError(
      'FileNotFound',
      `there is no *.mesh-test.yaml in ${paths.length > 0 ? paths.join(', ') : 'this directory'}`,
    );
  const results = await runTestFiles(files, flags.filename);
  if (flags.output === 'junit') process.stdout.write(formatJunit(results));
  else if (flags.output) process.stdout.write(formatStructured(results, flags.output));
  else process.stdout.write(formatResults(results, out));
  if (flags.junitFile !== undefined) await writeFileAtomic(flags.junitFile, formatJunit(results), 0o644);
  if (results.some(({ ok }) => !ok)) process.exitCode = exitCodes.failure;
}
