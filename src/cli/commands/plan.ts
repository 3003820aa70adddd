import { type Command, Option } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import type { Model, ModelChange } from '../../model/model.ts';
import type { ObjectId } from '../../model/model-objects.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import type { ModelSource } from '../explain/model-source.ts';
import { parseOutput } from '../output/structured.ts';

interface PlanFlags extends ConnectionFlags {
  readonly filename: readonly string[];
  readonly base: readonly string[];
  readonly delete: readonly string[];
  readonly prune?: boolean;
  readonly recursive?: boolean;
  readonly timeLimit: string;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerPlan(program: Command): void {
  const command = program
    .command('plan')
    .summary('say what a change does before it is made')
    .description(
      'Compares the mesh as it is with the mesh as a change would leave it: the objects, what each proxy is sent, and the requests that come out differently. These are found by going through every kind of request that the configuration of either side can tell apart; each is shown by one request that was followed on both sides. Nothing is changed.',
    )
    .option('-f, --filename <path>', 'files or directories that would be applied (repeatable)', gather, [])
    .option(
      '--base <path>',
      'files or directories of the mesh as it is, mesh.yaml too (repeatable; default: the running mesh)',
      gather,
      [],
    )
    .option(
      '--delete <kind/name>',
      'object that would be deleted: kind/name, or kind/name.namespace (repeatable)',
      gather,
      [],
    )
    .option('--prune', 'the files are the whole mesh: what --base has beyond them is deleted')
    .option('-R, --recursive', 'look into subdirectories')
    .option('--time-limit <seconds>', 'look for at most this long', '30')
    .addOption(new Option('-o, --output <format>', 'json or yaml').choices(['json', 'yaml']));
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria plan -f reviews-v3.yaml
  ostria plan -f change.yaml --base k8s/ -R
  ostria plan --delete virtualservice/reviews --base k8s/
  ostria plan -f new/ --base old/ --prune -o json

Ends with 0 if no request comes out differently, with 12 if some do, and with 13 if none was found but the
search was cut before everything was looked at; with 3 if the files do not pass their checks.`,
    )
    .action(runPlan);
}

async function runPlan(flags: PlanFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const seconds = Number(flags.timeLimit);
  if (!(seconds > 0))
    throw new CodedError('UsageInvalid', `--time-limit ${flags.timeLimit} is no number of seconds`);
  if (flags.filename.length === 0 && flags.delete.length === 0)
    throw new CodedError('UsageInvalid', 'name the change: files with -f, or objects with --delete');
  if (flags.prune && flags.base.length === 0)
    throw new CodedError(
      'UsageInvalid',
      '--prune compares files with files: name the mesh as it is with --base',
    );
  // Loaded where it is needed only: the compile is most of a control plane.
  const sources = await import('../explain/model-source.ts');
  const base = await baseOf(sources, flags);
  for (const note of base.notes) process.stderr.write(`${note}\n`);
  const before = sources.modelOf(base);
  const change = await changeOf(sources, before, flags);
  const { reportPlan } = await import('../plan/report-plan.ts');
  process.exitCode = reportPlan(before, change, seconds * 1000, output);
}

async function baseOf(
  sources: typeof import('../explain/model-source.ts'),
  flags: PlanFlags,
): Promise<ModelSource> {
  if (flags.base.length > 0)
    return sources.sourceOfFiles(flags.base, { recursive: flags.recursive ?? false });
  return withClient(flags, (client) => sources.sourceOfMesh(client));
}

async function changeOf(
  sources: typeof import('../explain/model-source.ts'),
  before: Model,
  flags: PlanFlags,
): Promise<Required<ModelChange>> {
  const { idOf, inNamespaceOf } = await import('../../model/model-objects.ts');
  const namespace = flags.namespace === undefined ? {} : { namespace: flags.namespace };
  const { objects } =
    flags.filename.length === 0
      ? { objects: [] }
      : await sources.sourceOfFiles(flags.filename, { recursive: flags.recursive ?? false, ...namespace });
  const remove = flags.delete.map((text) => objectNamed(before, text, flags.namespace ?? 'default'));
  if (flags.prune) {
    const kept = new Set(objects.map(({ object }) => idOf(inNamespaceOf(object))));
    for (const id of before.objects.keys()) if (!kept.has(id)) remove.push(id);
  }
  return { objects, remove };
}

/** `kind/name` or `kind/name.namespace`, the kind in any case, in the plural too. */
function objectNamed(before: Model, text: string, fallback: string): ObjectId {
  const [, kind = '', rest = ''] = /^([^/]+)\/(.+)$/.exec(text) ?? [];
  const wanted = kind.toLowerCase();
  const found = [...before.objects].filter(([, { object }]) => {
    const own = object.kind.toLowerCase();
    const { name, namespace = '' } = object.metadata;
    const named =
      rest === name ? namespace === fallback || namespace === '' : rest === `${name}.${namespace}`;
    return named && (wanted === own || wanted === `${own}s` || wanted === own.replace(/y$/, 'ies'));
  });
  const [first] = found;
  if (first) return first[0];
  throw new CodedError(
    'ResourceUnknown',
    `--delete ${text}: there is no such object; write kind/name, or kind/name.namespace`,
  );
}
