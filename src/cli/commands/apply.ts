import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { applyObjects, defaultFieldManager, formatProblem } from '../apply/apply-objects.ts';
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
      'Applies every object of files and directories with server-side apply. What the API server refuses is reported at the line of the file where it stands.',
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
  const dryRun = flags.dryRun !== undefined && flags.dryRun !== 'none';
  let failed = 0;
  try {
    const options = {
      fieldManager: flags.fieldManager,
      force: flags.forceConflicts ?? false,
      dryRun,
      namespace,
    };
    for await (const { name, outcome, warnings, problems: refused } of applyObjects(
      client,
      objects,
      options,
    )) {
      for (const warning of warnings) process.stderr.write(`${err.yellow('warning')}: ${name}: ${warning}\n`);
      if (outcome === 'failed') {
        failed++;
        for (const line of refused) process.stderr.write(`${err.red('error')}: ${line}\n`);
      } else
        process.stdout.write(
          `${name} ${outcome === 'unchanged' ? out.dim(outcome) : outcome}${dryRun ? ' (dry run)' : ''}\n`,
        );
    }
  } finally {
    client.close();
  }
  if (failed > 0) {
    process.stderr.write(
      `${failed} of ${objects.length} ${objects.length === 1 ? 'object was' : 'objects were'} refused\n`,
    );
    process.exitCode = exitCodes.invalidInput;
  }
}
