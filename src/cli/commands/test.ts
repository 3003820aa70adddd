import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { exitCodes } from '../exit-codes.ts';
import type { RunOptions, TestRun } from '../mesh-tests/run-tests.ts';
import { formatStructured } from '../output/structured.ts';
import { err, out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';

interface TestFlags {
  readonly filename: readonly string[];
  readonly output?: 'json' | 'yaml' | 'junit';
  readonly junitFile?: string;
  readonly schema?: boolean;
  readonly realEnvoy?: boolean;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerTest(program: Command): void {
  program
    .command('test')
    .summary('check what becomes of requests, on files or through real Envoys')
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
    .option('--real-envoy', 'send the requests through stock Envoys on this machine too')
    .option('--schema', 'print the JSON schema of test files, for editors')
    .addHelpText(
      'after',
      `
Examples:
  ostria test
  ostria test routes.mesh-test.yaml
  ostria test mesh/ -f k8s/ --junit-file results.xml
  ostria test --real-envoy

With --real-envoy each case's request is sent by its caller's sidecar (or to its gateway) through stock Envoys with mutual TLS, on
loopback ports, to stand-in applications. Nothing leaves this machine, and everything is ended afterwards. At most 24 Envoys run: cases
that would need more, or a place outside the mesh, an external authorizer, or a fault for a share of the requests, are checked on files alone,
and so are timeouts, retries and unreachable: it is said of each. Tokens (claims) are signed by a key of the run, identities (as) proved
by certificates of its own authority.

Ends with 0 if everything is as expected, with 1 if something is not, and with 3 if a file does not read.`,
    )
    .action(runTest);
}

async function runTest(paths: string[], flags: TestFlags): Promise<void> {
  if (flags.schema) {
    const { testFileSchema } = await import('../mesh-tests/test-file-schema.ts');
    process.stdout.write(formatStructured(testFileSchema, 'json'));
    return;
  }
  // Loaded where it is needed only: the compile is most of a control plane.
  const { findTestFiles, runTestFiles } = await import('../mesh-tests/run-tests.ts');
  const { formatJunit, formatResults } = await import('../mesh-tests/format-results.ts');
  const files = findTestFiles(paths.length > 0 ? paths : ['.']);
  if (files.length === 0)
    throw new CodedError(
      'FileNotFound',
      `there is no *.mesh-test.yaml in ${paths.length > 0 ? paths.join(', ') : 'this directory'}`,
    );
  const run = await (flags.realEnvoy ? onEnvoy : runTestFiles)(files, { config: flags.filename });
  const { results } = run;
  if (flags.output === 'junit') process.stdout.write(formatJunit(results));
  else if (flags.output) process.stdout.write(formatStructured(results, flags.output));
  else writeText(formatResults(run, out));
  if (flags.junitFile !== undefined) await writeFileAtomic(flags.junitFile, formatJunit(results), 0o644);
  if (results.some(({ ok }) => !ok)) process.exitCode = exitCodes.failure;
}

/** Ctrl-C ends the Envoys first. */
async function onEnvoy(files: readonly string[], options: RunOptions): Promise<TestRun> {
  const { runTestFiles } = await import('../mesh-tests/run-tests.ts');
  const stop = new AbortController();
  const end = (): void => stop.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, end);
  const log = (line: string): void => void process.stderr.write(`${err.dim(line)}\n`);
  try {
    return await runTestFiles(files, { ...options, envoy: { signal: stop.signal, log } });
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}
