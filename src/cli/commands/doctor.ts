import type { Command } from 'commander';
import type { Colors } from 'picocolors/types.js';
import type { Check, ReportedChecks } from '../doctor/check.ts';
import { exitCodes } from '../exit-codes.ts';
import { chooseMesh } from '../meshes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';
import { readJsonFile } from '../state/json-file.ts';
import { knownMeshes, stateDirectory, statePaths } from '../state/state-directory.ts';

interface DoctorFlags {
  readonly mesh?: string;
  readonly output?: string;
}

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check this machine and the meshes on it')
    .description(
      'Looks at what a mesh needs of a machine (Node, Envoy, limits, rights, clock, ports), and at each mesh of this machine: processes, proxies in sync, configuration that cannot be compiled, certificates and how long they last. Says what to do about what is wrong. Changes nothing.',
    )
    .option('--mesh <name>', 'this mesh alone (default: every mesh of this machine)')
    .option('-o, --output <format>', 'json or yaml')
    .addHelpText(
      'after',
      `
Examples:
  ostria doctor
  ostria doctor --mesh bookinfo
  ostria doctor -o json

Ends with 0 if nothing is wrong (warnings are told), and with 11 if something is.`,
    )
    .action(async (flags: DoctorFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const { machineChecks } = await import('../doctor/machine-checks.ts');
      const { meshChecks } = await import('../doctor/mesh-checks.ts');
      const meshes = flags.mesh === undefined ? knownMeshes() : [chooseMesh(flags.mesh)];
      const reported = meshes.map(reportedChecks).find((found) => found !== undefined);
      const checks = reported ?? [
        ...(await machineChecks()),
        ...(await Promise.all(meshes.map(meshChecks))).flat(),
      ];
      if (output) process.stdout.write(formatStructured(checks, output));
      else writeText(formatChecks(checks, out));
      if (checks.some(({ state }) => state === 'error')) process.exitCode = exitCodes.negative;
    });
}

/** Of a report that was opened: what was found where and when it was made, not on this machine. */
function reportedChecks(mesh: string): Check[] | undefined {
  const found = readJsonFile<ReportedChecks>(statePaths(stateDirectory(mesh)).reportedChecks);
  if (!found || found.checks.length === 0) return undefined;
  const when = `of the report (${found.platform}, ${found.made.slice(0, 19)})`;
  return found.checks.map((check) => ({ ...check, area: `${check.area} ${when}` }));
}

/** One line per check, with what to do below what is wrong, and a verdict. */
export function formatChecks(checks: readonly Check[], { bold, green, red, yellow, dim }: Colors): string {
  const signs = { ok: green('✔'), warning: yellow('!'), error: red('✘'), skipped: dim('-') };
  const lines: string[] = [];
  for (const [area, own] of Map.groupBy(checks, (check) => check.area)) {
    lines.push(...(lines.length > 0 ? [''] : []), bold(area));
    for (const { name, state, found, mend } of own) {
      lines.push(`  ${signs[state]} ${name}: ${state === 'skipped' ? dim(found) : found}`);
      if (mend !== undefined) lines.push(...mend.split('\n').map((line) => `      ${dim(line)}`));
    }
  }
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const verdict =
    errors + warnings === 0
      ? green('Nothing is wrong.')
      : `${errors} ${errors === 1 ? 'error' : 'errors'}, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}.`;
  return `${lines.join('\n')}\n\n${verdict}\n`;
}
