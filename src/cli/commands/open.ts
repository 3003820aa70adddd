import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { formatAge } from '../output/age.ts';
import { err } from '../output/style.ts';
import { programCommand } from '../programs.ts';
import type { ReportHead } from '../report/report-file.ts';

export function registerOpen(program: Command): void {
  program
    .command('open')
    .summary('look into a report of ostria bug-report, offline')
    .description(
      'Opens a report as if its mesh ran here: a command given is run on it, else a shell is started in which every command reads the report. kubectl, istioctl and other clients of Kubernetes read it too. Nothing of the mesh that was reported, or of one that runs here, is touched.',
    )
    .argument('<report>', 'the archive')
    .argument('[command...]', 'a command of ostria and its arguments, or another program (default: a shell)')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  ostria open report.tar.gz
  ostria open report.tar.gz -- proxy-status
  ostria open report.tar.gz -- explain --from productpage-v1 http://reviews:9080/
  ostria open report.tar.gz -- kubectl get virtualservices -A

Ends with the exit code of what it ran.`,
    )
    .action(async (file: string, words: string[]) => {
      const command = words[0] === '--' ? words.slice(1) : words;
      const { readReport } = await import('../report/report-file.ts');
      const { openReport } = await import('../report/open-report.ts');
      const { head, files } = await readReport(file);
      const report = await openReport(head, files);
      try {
        if (command.length === 0) process.stderr.write(welcome(head));
        process.exitCode = await run(commandLine(program, command), report.environment);
      } finally {
        await report.close();
      }
    });
}

/** A command of ours is run by us, whatever is on PATH; without one, the user's shell. */
function commandLine(program: Command, command: readonly string[]): string[] {
  const [first] = command;
  if (first === undefined) return [process.env.SHELL || 'sh'];
  const own = first === 'ostria' ? command.slice(1) : command;
  const isOurs =
    first === 'ostria' ||
    program.commands.some((one) => one.name() === first || one.aliases().includes(first));
  return isOurs ? [...programCommand('cli'), ...own] : [...command];
}

function run(command: readonly string[], environment: Readonly<Record<string, string>>): Promise<number> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
    // The terminal tells the child too: it decides what an interrupt means.
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    child.once('error', (error) =>
      reject(new CodedError('FileNotFound', `${file} cannot be run: ${error.message}`)),
    );
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

function welcome({ mesh, made, ostria, platform, leftOut }: ReportHead): string {
  const age = formatAge(Date.now() - Date.parse(made));
  const missing = leftOut.length > 0 ? `Not in it: ${leftOut.join('; ')}\n` : '';
  return `${err.bold(`Report of the mesh ${mesh}`)}, made ${age} ago by Ostria ${ostria} on ${platform}.
${missing}ostria, kubectl and istioctl read it in this shell. Leave it with exit.
`;
}
