import type { Command } from 'commander';
import type { HistoryListing, ListedChange } from '../../control-plane/history/history-entry.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { discover, resourceOfName } from '../api/discovery.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { pairTitle } from '../history/object-diff.ts';
import { listHistory } from '../history/objects-at.ts';
import { formatTime, parseWhen } from '../history/parse-when.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { textTable } from '../output/text-table.ts';

interface HistoryFlags extends ConnectionFlags {
  readonly since?: string;
  readonly until?: string;
  readonly limit: string;
  readonly all?: boolean;
  readonly output?: string;
}

export function registerHistory(program: Command): void {
  const command = program
    .command('history')
    .summary('show who changed what, and when')
    .description(
      'Lists changes of configuration and discovery, newest first: objects of the API, of files, and what was registered. The control plane keeps them for a while (a week, 100,000 changes or 64 MiB, whatever comes first). REVISION can be given to diff, rollback and explain --at.',
    )
    .argument('[object]', 'a type (virtualservices), or TYPE/NAME')
    .option('--since <time>', 'no older ones: 14:00, 2026-11-27T14:00, 10m (ago)')
    .option('--until <time>', 'no newer ones')
    .option('--limit <number>', 'how many at most', '30')
    .option(
      '--all',
      'changes of a status alone too: workloads that become ready, addresses that are assigned',
    )
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria history
  ostria history virtualservice/reviews
  ostria history --since 14:00 --until 14:05
  ostria history pods --all
  ostria history vs -o json`,
    )
    .action(runHistory);
}

async function runHistory(object: string | undefined, flags: HistoryFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const limit = Number(flags.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 5_000)
    throw new CodedError('UsageInvalid', `--limit ${flags.limit} must be between 1 and 5000`);
  const times = periodOf(flags);
  const { client } = connect(flags);
  try {
    const query = {
      limit: String(limit),
      ...(flags.all ? {} : { statuses: 'false' }),
      ...times,
      ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
      ...(object === undefined ? {} : await objectQuery(client, object)),
    };
    const listing = await listHistory(client, query);
    if (output) process.stdout.write(formatStructured(listing, output));
    else show(listing);
  } finally {
    client.close();
  }
}

function periodOf({ since, until }: HistoryFlags): { readonly since?: string; readonly until?: string } {
  const period = {
    ...(since === undefined ? {} : { since: timeOf('--since', since) }),
    ...(until === undefined ? {} : { until: timeOf('--until', until) }),
  };
  if (Number(period.since) > Number(period.until))
    throw new CodedError(
      'UsageInvalid',
      `--since ${since} is later than --until ${until}: nothing lies between`,
    );
  return period;
}

function timeOf(flag: string, text: string): string {
  const when = parseWhen(text);
  if ('at' in when) return String(when.at);
  throw new CodedError('UsageInvalid', `${flag} ${text} must be a time`);
}

/** Which kinds and names a user means. */
async function objectQuery(
  client: ApiClient,
  object: string,
): Promise<{ kinds: string; name?: string; namespace?: string }> {
  const [type = '', name] = object.split('/');
  const { group, kind } = resourceOfName(await discover(client), type);
  return { kinds: `${group}/${kind}`, ...(name ? { name } : {}) };
}

function show({ changes, more, statusesLeftOut, begins }: HistoryListing): void {
  if (changes.length === 0) process.stdout.write('No change fits.\n');
  else
    process.stdout.write(
      textTable(
        ['REVISION', 'TIME', 'CHANGE', 'OBJECT', 'BY', 'WHAT'],
        changes.map((change) => [
          String(change.revision),
          formatTime(change.at),
          colored(change.action),
          pairTitle(change),
          whoOf(change),
          change.paths.join(', '),
        ]),
      ),
    );
  const rest = more ? 'There are more: --limit, --since. ' : '';
  const statuses = statusesLeftOut ? 'Changes of a status alone are left out: --all. ' : '';
  process.stderr.write(
    out.dim(
      `${rest}${statuses}The history begins at ${formatTime(begins.at)} (revision ${begins.revision}).\n`,
    ),
  );
}

function colored(action: ListedChange['action']): string {
  if (action === 'created') return out.green(action);
  return action === 'deleted' ? out.red(action) : action;
}

/** The file and line where there is one, else who manages the fields. */
function whoOf({ source, by, file, line }: ListedChange): string {
  if (source === 'start') return `${file === undefined ? (by ?? '') : file} (found at the start)`.trim();
  if (file !== undefined) return line === undefined ? file : `${file}:${line}`;
  return by ?? '';
}
