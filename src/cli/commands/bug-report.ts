import { resolve } from 'node:path';
import type { Command } from 'commander';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { chooseMesh, runningMeshes } from '../meshes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { stateDirectory, statePaths } from '../state/state-directory.ts';

interface BugReportFlags extends ConnectionFlags {
  readonly file?: string;
  readonly output?: string;
}

export function registerBugReport(program: Command): void {
  const command = program
    .command('bug-report')
    .summary('collect all that is needed to find a fault, into one archive')
    .description(
      'Collects the objects, what the control plane knows and sent, what each Envoy holds, statuses, checks, versions and the ends of the logs. Private keys, tokens, passwords and the data of Secrets are left out. ostria open looks into it, on any machine.',
    )
    .option('--file <path>', 'where the archive goes (default: ostria-report-MESH-TIME.tar.gz)')
    .option('-o, --output <format>', 'json or yaml: what was made');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria bug-report
  ostria bug-report --file report.tar.gz
  ostria open report.tar.gz -- proxy-status`,
    )
    .action(async (flags: BugReportFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const { collectReport } = await import('../report/collect-report.ts');
      const { writeReport } = await import('../report/report-file.ts');
      const local =
        flags.kubeconfig === undefined && flags.context === undefined && runningMeshes().length > 0;
      const mesh = local ? chooseMesh(flags.mesh) : (flags.mesh ?? 'mesh');
      const paths = local ? statePaths(stateDirectory(mesh)) : undefined;
      const say = (what: string) =>
        void (output === undefined && process.stderr.write(`Collecting ${what} …\n`));
      const { head, files } = await withClient(flags, (client) => collectReport(mesh, client, paths, say));
      const time = head.made.slice(0, 16).replaceAll(/[-:]/g, '').replace('T', '-');
      const file = resolve(flags.file ?? `ostria-report-${mesh}-${time}.tar.gz`);
      const bytes = await writeReport(file, head, files);
      process.stdout.write(
        output
          ? formatStructured({ file, bytes, files: [...files.keys()], ...head }, output)
          : reportText(file, bytes, files.size, head.leftOut),
      );
    });
}

function reportText(file: string, bytes: number, count: number, leftOut: readonly string[]): string {
  const missing = leftOut.length > 0 ? `\nNot in it:\n${leftOut.map((line) => `  ${line}\n`).join('')}` : '';
  return `${file}: ${count} files, ${(bytes / 1024).toFixed(0)} KiB\n${missing}
Secrets, keys and tokens are left out; names of hosts and services, addresses, paths and command lines are not: look before you share it.
To look into it: ostria open ${file}
`;
}
