import { type Command, InvalidArgumentError } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { addAccessFlags, type ConnectionFlags, chooseAccess } from '../connection.ts';
import { parseDuration } from '../mesh-file/duration.ts';
import { parseOutput } from '../output/structured.ts';

interface CommonFlags extends ConnectionFlags {
  readonly since?: string;
  readonly observe?: string;
  readonly output?: string;
}

interface SuggestFlags extends CommonFlags {
  readonly sample: number;
  readonly enforce?: boolean;
}

interface CheckFlags extends CommonFlags {
  readonly filename?: readonly string[];
}

/** `ostria policy`. */
export function registerPolicy(program: Command): void {
  const group = program
    .command('policy')
    .summary('policies from what was observed, and what they would refuse')
    .addHelpText(
      'after',
      `
Examples:
  ostria policy suggest --observe 1m > suggested.yaml
  ostria policy check -f suggested.yaml
  ostria apply -f suggested.yaml          # in dry run
  ostria policy check                     # what they would have refused since`,
    );
  const suggesting = group
    .command('suggest')
    .summary('propose AuthorizationPolicies of least privilege')
    .description(
      'Proposes, for each workload that was called, the policy that takes the calls that it answered and as few others as sensible: callers by identity, methods, and paths with identifiers as {*}. The YAML on standard output is in dry run: applied, it refuses nothing and tells what it would refuse. How many of the observed calls each would have refused is told on standard error and in the YAML. Proposes a STRICT PeerAuthentication where a namespace takes plaintext that nobody sends.',
    )
    .argument('[names...]', 'services or workloads (default: all that were called)')
    .option(
      '--observe <duration>',
      'record all calls for so long, such as 1m; otherwise only what was recorded before',
    )
    .option('--sample <percent>', 'of the calls while observing', percent, 100)
    .option('--since <duration>', 'look at no older records than 10m, 1h …')
    .option('--enforce', 'without dry run')
    .option('-o, --output <format>', 'json or yaml (the default)');
  addAccessFlags(suggesting, '-c, ')
    .addHelpText(
      'after',
      `
Examples:
  ostria policy suggest --observe 30s
  ostria policy suggest reviews --since 1h --enforce | ostria apply -f -

Callers without an identity, and calls that were answered 404 or 405, get no rule. Gateways get no policy: who calls them is outside.`,
    )
    .action(async (names: string[], flags: SuggestFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']) ?? 'yaml';
      const access = chooseAccess(flags);
      const { suggest } = await import('../calls/run-suggest.ts');
      await suggest(access, {
        ...timesOf(flags),
        names,
        sample: flags.sample,
        dryRun: !flags.enforce,
        output,
      });
    });
  const checking = group
    .command('check')
    .summary('tell which recorded calls policies would refuse')
    .description(
      'Tells which calls the policies in dry run of the running mesh would have refused, as the proxies decided; with -f, which of the recorded calls the policies of files would refuse, and which condition is in the way.',
    )
    .option('-f, --filename <path...>', 'policies in files or directories, in dry run or not')
    .option('--observe <duration>', 'record all calls for so long first')
    .option('--since <duration>', 'look at no older records than 10m, 1h …')
    .option('-o, --output <format>', 'json or yaml');
  addAccessFlags(checking, '-c, ')
    .addHelpText(
      'after',
      `
Examples:
  ostria policy check --since 1h
  ostria policy check -f suggested.yaml --observe 30s

Ends with 3 if a call would be refused.`,
    )
    .action(async (flags: CheckFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const access = chooseAccess(flags);
      const { check } = await import('../calls/run-check.ts');
      await check(access, { ...timesOf(flags), files: flags.filename ?? [], output });
    });
}

function timesOf({ since, observe }: CommonFlags): { since: number; observeMs: number } {
  const sinceMs = since === undefined ? undefined : durationOf('--since', since);
  return {
    since: sinceMs === undefined ? 0 : Date.now() - sinceMs,
    observeMs: observe === undefined ? 0 : durationOf('--observe', observe),
  };
}

/** Longest time of observing, in ms: whoever wants more asks again. */
const longestMs = 3_600_000;

function durationOf(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new CodedError('UsageInvalid', `${flag} ${text} is no duration such as 30s or 10m`);
  if (flag === '--observe' && ms > longestMs)
    throw new CodedError('UsageInvalid', `${flag} ${text} is longer than 1h`);
  return ms;
}

function percent(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 100) return value;
  throw new InvalidArgumentError('it must be a whole number from 1 to 100.');
}
