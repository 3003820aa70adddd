import type { Command } from 'commander';
import type { HistoryDifference } from '../../control-plane/history/history-entry.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { discover, resourceOfName } from '../api/discovery.ts';
import { defaultFieldManager, formatProblem } from '../apply/apply-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { diffFiles } from '../history/diff-files.ts';
import { unifiedDiff } from '../history/object-diff.ts';
import { differenceBetween } from '../history/objects-at.ts';
import { formatTime, parseWhen } from '../history/parse-when.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { err, out } from '../output/style.ts';

interface DiffFlags extends ConnectionFlags {
  readonly filename?: string[];
  readonly recursive?: boolean;
  readonly fieldManager: string;
  readonly forceConflicts?: boolean;
  readonly object?: string;
  readonly output?: string;
}

export function registerDiff(program: Command): void {
  const command = program
    .command('diff')
    .summary('show what files would change, or what changed between two times')
    .description(
      'With -f: what ostria apply of these files would change on the running mesh; the server makes a dry run, so defaults and what others manage count. With one or two times: which objects changed between them (up to now, where one is given).',
    )
    .argument('[from]', 'a time (14:00, 2026-11-27T14:00, 10m ago as 10m) or a revision of ostria history')
    .argument('[to]', 'the same; default: now')
    .option('-f, --filename <path...>', 'files, directories, or - for standard input')
    .option('-R, --recursive', 'look into subdirectories too')
    .option('--field-manager <name>', 'the field manager that apply would have', defaultFieldManager)
    .option('--force-conflicts', 'as if apply took over fields that somebody else manages')
    .option('--object <type/name>', 'between times: only of this type, or this object')
    .option('-o, --output <format>', 'json or yaml: the objects before and after');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria diff -f networking/
  ostria diff 14:00 14:05
  ostria diff 10m --object virtualservices
  ostria diff 17 18 -o yaml

Ends with 0 if nothing differs and with 1 if something does, as kubectl diff; with another code if it failed (ostria help exit-codes).`,
    )
    .action(runDiff);
}

async function runDiff(from: string | undefined, to: string | undefined, flags: DiffFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  if ((from === undefined) === (flags.filename === undefined))
    throw new CodedError('UsageInvalid', 'diff of what? Give -f FILES, or one or two points in time');
  const { client, namespace } = connect(flags);
  try {
    const difference =
      from === undefined
        ? await ofFiles(client, flags, namespace)
        : await ofTimes(client, from, to ?? 'now', flags);
    if (!difference) return;
    const { objects, labels } = difference;
    if (output) process.stdout.write(formatStructured(objects, output));
    const texts = objects.map((pair) => unifiedDiff(pair, labels, out)).filter((text) => text !== '');
    if (!output) process.stdout.write(texts.join('\n'));
    if (!output && texts.length === 0) process.stderr.write(out.dim('Nothing differs.\n'));
    process.exitCode = texts.length > 0 ? exitCodes.failure : exitCodes.ok;
  } catch (error) {
    // 1 means that something differs.
    throw exitCodeOf(error) === exitCodes.failure
      ? new CodedError('DiffFailed', messageOf(error), { cause: error })
      : error;
  } finally {
    client.close();
  }
}

interface Difference {
  readonly objects: HistoryDifference['objects'];
  readonly labels: { readonly before: string; readonly after: string };
}

/** Undefined: files or the server refuse, and it has been said. */
async function ofFiles(
  client: ApiClient,
  flags: DiffFlags,
  namespace: string,
): Promise<Difference | undefined> {
  const { objects, problems } = collectObjects(flags.filename ?? [], { recursive: flags.recursive ?? false });
  const options = { fieldManager: flags.fieldManager, force: flags.forceConflicts ?? false, namespace };
  const result =
    problems.length > 0
      ? { problems: problems.map(formatProblem), pairs: [] }
      : await diffFiles(client, objects, options);
  if (result.problems.length === 0)
    return { objects: result.pairs, labels: { before: '(mesh)', after: '(files)' } };
  for (const problem of result.problems) process.stderr.write(`${err.red('error')}: ${problem}\n`);
  process.exitCode = exitCodes.invalidInput;
  return undefined;
}

async function ofTimes(client: ApiClient, from: string, to: string, flags: DiffFlags): Promise<Difference> {
  const [start, end] = [parseWhen(from), parseWhen(to)];
  const difference = await differenceBetween(client, start, end);
  const fits = await filterOf(client, flags);
  const label = ({ revision, at }: { revision: number; at: number }) =>
    `(revision ${revision}, ${formatTime(at)})`;
  return {
    objects: difference.objects.filter(fits),
    labels: { before: label(difference.from), after: label(difference.to) },
  };
}

async function filterOf(
  client: ApiClient,
  { object, namespace }: DiffFlags,
): Promise<(one: { kind: string; key: string }) => boolean> {
  const inNamespace = (key: string): boolean => namespace === undefined || key.startsWith(`${namespace}/`);
  if (object === undefined) return ({ key }) => inNamespace(key);
  const [type = '', name] = object.split('/');
  const { group, kind } = resourceOfName(await discover(client), type);
  return (one) =>
    one.kind === `${group}/${kind}` &&
    inNamespace(one.key) &&
    (name === undefined || one.key.endsWith(`/${name}`));
}
