import type { Command } from 'commander';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { applyAndWait, type WaitChoice } from '../apply/apply-and-wait.ts';
import {
  type Applied,
  type ApplyOptions,
  applyObjects,
  defaultFieldManager,
  formatProblem,
  type Outcome,
} from '../apply/apply-objects.ts';
import { type CheckedObjects, checkObjects } from '../apply/check-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { isAboutOthers, lastingWarnings, placed } from '../apply/lasting-warnings.ts';
import { addCareFlags, type CareFlags, careOf } from '../apply/wait/care.ts';
import { addWaitFlags, durationOf, type WaitFlags } from '../apply/wait/wait-for-writes.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { noteAppliedFiles } from '../origins/applied-files.ts';
import { err, out } from '../output/style.ts';

interface ApplyFlags extends ConnectionFlags, WaitFlags, CareFlags {
  readonly filename: string[];
  readonly recursive?: boolean;
  readonly dryRun?: boolean | string;
  readonly explain?: boolean;
  readonly forceConflicts?: boolean;
  readonly fieldManager: string;
  readonly autoRollback?: boolean;
}

/** How long --explain looks for requests, milliseconds. */
const explainMs = 30_000;

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
    .option(
      '--explain',
      'with --dry-run: say what proxies would be sent, and which requests come out differently',
    )
    .option('--force-conflicts', 'take over fields that somebody else manages')
    .option('--field-manager <name>', 'name under which the fields are managed', defaultFieldManager);
  addWaitFlags(command).option(
    '--auto-rollback',
    'wait, and restore what was there before if a proxy refuses it or errors rise',
  );
  addCareFlags(command);
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria apply -f reviews-v3.yaml
  ostria apply -f networking/ --dry-run
  ostria apply -f reviews-v3.yaml --dry-run=server --explain
  ostria apply -f reviews-v3.yaml --wait --timeout 30s
  ostria apply -f reviews-v3.yaml --auto-rollback --max-error-rate 1% --observe 30s
  ostria apply -f reviews-v3.yaml --canary 10% --max-error-rate 1%
  helm template my-chart | ostria apply -f -

With --wait it ends with 8 if a proxy has not answered in time (it is named, with what it lacks), and with 9 if one refuses what was
applied (with Envoy's words, at the line of the file), or if too many requests fail. With --auto-rollback it ends with 10 then, and what was
there before is back. A proxy that is late is no reason to roll back.

--canary tries VirtualServices, DestinationRules, Sidecars, AuthorizationPolicies, RequestAuthentications with inline keys, EnvoyFilters that leave
the bootstrap alone, Telemetry, HTTPRoutes and GRPCRoutes; those who call the hosts go first. Where it does not go well nothing is written.`,
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
  const choice = choiceOf(flags);
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
  const dryRun = flags.dryRun !== undefined && flags.dryRun !== 'none';
  if (flags.explain && !dryRun)
    throw new CodedError(
      'UsageInvalid',
      '--explain tells of a change before it is made: give --dry-run with it, or use ostria plan',
    );
  const { client, access, namespace } = connect(flags);
  const options = { fieldManager: flags.fieldManager, force: flags.forceConflicts ?? false, namespace };
  try {
    const checked = await checkAll(client, objects, options, dryRun);
    if (checked && dryRun && flags.explain) {
      const { reportPlanOnMesh } = await import('../plan/report-plan.ts');
      process.stdout.write('\n');
      process.exitCode = await reportPlanOnMesh(client, objects, namespace, explainMs);
    }
    if (!checked || dryRun) return;
    noteAppliedFiles(access.server, flags.filename);
    const write = async (): Promise<readonly Applied[] | undefined> => {
      const { applied, failed } = await writeAll(client, objects, checked, options);
      return failed > 0 ? undefined : applied;
    };
    if (choice) process.exitCode = await applyAndWait({ client, access }, objects, options, choice, write);
    else await write();
  } finally {
    client.close();
  }
}

/** Undefined: nothing is waited for. */
function choiceOf(flags: ApplyFlags): WaitChoice | undefined {
  const timeoutMs = durationOf('--timeout', flags.timeout);
  const { errors, canary } = careOf(flags);
  if (!flags.wait && !flags.autoRollback && !errors && canary.length === 0) return undefined;
  return { timeoutMs, autoRollback: flags.autoRollback ?? false, errors, canary };
}

/** Everything is checked before anything is written. Undefined: something was refused, and it has been said. */
async function checkAll(
  client: ApiClient,
  objects: readonly ParsedObject[],
  options: ApplyOptions,
  dryRun: boolean,
): Promise<CheckedObjects | undefined> {
  const checked = await checkObjects(client, objects, options, dryRun);
  for (const problem of checked.problems) process.stderr.write(`${err.red('error')}: ${problem}\n`);
  if (checked.refused > 0) {
    refuse(checked.refused, objects.length, 'nothing was applied');
    return undefined;
  }
  if (dryRun)
    for (const [source, { name, outcome, warnings }] of checked.verdicts)
      report(source, name, outcome, objects.length > 1 ? own(warnings) : warnings, ' (dry run)');
  return checked;
}

async function writeAll(
  client: ApiClient,
  objects: readonly ParsedObject[],
  checked: CheckedObjects,
  options: ApplyOptions,
): Promise<{ applied: Applied[]; failed: number }> {
  const all: Applied[] = [];
  for await (const applied of applyObjects(client, objects, checked.verdicts, options)) {
    all.push(applied);
    for (const line of applied.problems) process.stderr.write(`${err.red('error')}: ${line}\n`);
    const { source, name, outcome, warnings } = applied;
    report(source, name, outcome, objects.length > 1 ? own(warnings) : warnings);
  }
  if (objects.length > 1)
    for (const { source, name, warnings } of await lastingWarnings(client, all, options))
      warn(source, name, warnings);
  const failed = all.filter(({ outcome }) => outcome === 'failed').length;
  // Something changed at the server since the check.
  if (failed > 0) refuse(failed, objects.length, 'the others were applied');
  return { applied: all, failed };
}

function own(warnings: readonly string[]): string[] {
  return warnings.filter((warning) => !isAboutOthers(warning));
}

function warn(source: ParsedObject, name: string, warnings: readonly string[]): void {
  for (const warning of warnings)
    process.stderr.write(`${err.yellow('warning')}: ${name}: ${placed(warning, source)}\n`);
}

function report(
  source: ParsedObject,
  name: string,
  outcome: Outcome,
  warnings: readonly string[],
  suffix = '',
): void {
  warn(source, name, warnings);
  if (outcome !== 'failed')
    process.stdout.write(`${name} ${outcome === 'unchanged' ? out.dim(outcome) : outcome}${suffix}\n`);
}

function refuse(refused: number, all: number, rest: string): void {
  process.stderr.write(
    `${refused} of ${all} ${all === 1 ? 'object was' : 'objects were'} refused; ${rest}\n`,
  );
  process.exitCode = exitCodes.invalidInput;
}
