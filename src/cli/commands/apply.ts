import type { Command } from 'commander';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { applyObjects, defaultFieldManager, formatProblem, type Outcome } from '../apply/apply-objects.ts';
import { checkObjects } from '../apply/check-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { err, out } from '../output/style.ts';

interface ApplyFlags extends ConnectionFlags {
  readonly filename: string[];
  readonly recursive?: boolean;
  readonly dryRun?: boolean | string;
  readonly forceConflicts?: boolean;
  readonly fieldManager: string;
}

export function registerApply(program: Command): void {
  const command = program
    .command('apply')
    .summary('create or change objects from YAML files')
    .description(
      'Applies the objects of files and directories with server-side apply, all of them or none: the API server checks every one before the first is written. What it refuses is reported at the line of the file where it stands.',
    )
    .requiredOption('-f, --filename <path...>', 'files, directories, or - for standard input')
    .option('-R, --recursive', 'look into subdirectories too')
    .option('--dry-run [mode]', 'have the server check everything and change nothing')
    .option('--force-conflicts', 'take over fields that somebody else manages')
    .option('--field-manager <name>', 'name under which the fields are managed', defaultFieldManager);
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria apply -f reviews-v3.yaml
  ostria apply -f networking/ --dry-run
  helm template my-chart | ostria apply -f -`,
    )
    .action(runApply);
}

async function runApply(flags: ApplyFlags): Promise<void> {
  if (
    flags.dryRun === 'client' ||
    (typeof flags.dryRun === 'string' && !['server', 'none'].includes(flags.dryRun))
  )
    throw new CodedError(
      'UsageInvalid',
      `--dry-run=${flags.dryRun} is not known; it is done by the server: --dry-run`,
    );
  const { objects, problems } = collectObjects(flags.filename, { recursive: flags.recursive ?? false });
  if (problems.length > 0) {
    for (const problem of problems) process.stderr.write(`${err.red('error')}: ${formatProblem(problem)}\n`);
    process.stderr.write('nothing was applied\n');
    process.exitCode = exitCodes.invalidInput;
    return;
  }
  if (objects.length === 0)
    throw new CodedError(
      'FileNotFound',
      `${flags.filename.join(', ')} ${flags.filename.length > 1 ? 'hold' : 'holds'} no object`,
    );
  const { client, namespace } = connect(flags);
  try {
    await applyAll(client, objects, flags, namespace);
  } finally {
    client.close();
  }
}

/** Everything is checked before anything is written. */
async function applyAll(
  client: ApiClient,
  objects: readonly ParsedObject[],
  flags: ApplyFlags,
  namespace: string,
): Promise<void> {
  const options = { fieldManager: flags.fieldManager, force: flags.forceConflicts ?? false, namespace };
  const dryRun = flags.dryRun !== undefined && flags.dryRun !== 'none';
  const checked = await checkObjects(client, objects, options, dryRun);
  for (const problem of checked.problems) process.stderr.write(`${err.red('error')}: ${problem}\n`);
  if (checked.refused > 0) return refuse(checked.refused, objects.length, 'nothing was applied');
  if (dryRun) {
    for (const { name, outcome, warnings } of checked.verdicts.values())
      report(name, outcome, warnings, ' (dry run)');
    return;
  }
  let failed = 0;
  for await (const applied of applyObjects(client, objects, checked.verdicts, options)) {
    if (applied.outcome === 'failed') failed++;
    for (const line of applied.problems) process.stderr.write(`${err.red('error')}: ${line}\n`);
    report(applied.name, applied.outcome, applied.warnings);
  }
  // Something changed at the server since the check.
  if (failed > 0) refuse(failed, objects.length, 'the others were applied');
}

function report(name: string, outcome: Outcome, warnings: readonly string[], suffix = ''): void {
  for (const warning of warnings) process.stderr.write(`${err.yellow('warning')}: ${name}: ${warning}\n`);
  if (outcome !== 'failed')
    process.stdout.write(`${name} ${outcome === 'unchanged' ? out.dim(outcome) : outcome}${suffix}\n`);
}

function refuse(refused: number, all: number, rest: string): void {
  process.stderr.write(
    `${refused} of ${all} ${all === 1 ? 'object was' : 'objects were'} refused; ${rest}\n`,
  );
  process.exitCode = exitCodes.invalidInput;
}
