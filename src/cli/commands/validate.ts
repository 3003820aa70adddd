import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { err } from '../output/style.ts';

interface ValidateFlags {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly namespace?: string;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerValidate(program: Command): void {
  program
    .command('validate')
    .alias('v')
    .summary('check files by the rules that the server has, without a server')
    .description(
      'Judges each object of files as the server would when it is applied: syntax, schema, and the rules of its kind. Says what is wrong, where it stands and how to mend it. For mistakes between objects there is ostria analyze.',
    )
    .argument('[files...]', 'files or directories; - is standard input')
    .option('-f, --filename <path>', 'files or directories (repeatable)', gather, [])
    .option('-R, --recursive', 'look into subdirectories')
    .option('-n, --namespace <name>', 'namespace of objects that name none')
    .option('-o, --output <format>', 'json or yaml')
    .addHelpText(
      'after',
      `
Examples:
  ostria validate -f reviews.yaml
  ostria validate -R networking/
  helm template . | ostria validate -f -

Ends with 3 if something is wrong; warnings alone do not count.`,
    )
    .action(async (named: string[], flags: ValidateFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const files = [...named, ...flags.filename];
      if (files.length === 0)
        throw new CodedError('UsageInvalid', 'which files? ostria validate -f FILE; - is standard input');
      const { validateFiles } = await import('../describe/validate-files.ts');
      const { findings, objects } = validateFiles(files, flags);
      if (output) process.stdout.write(formatStructured(findings, output));
      else {
        for (const { severity, at, object, message } of findings) {
          const paint = severity === 'error' ? err.red : err.yellow;
          process.stdout.write(
            `${at === '' ? '' : `${at}: `}${paint(severity)}: ${object === '' ? '' : `${object}: `}${message}\n`,
          );
        }
        if (findings.length === 0)
          process.stderr.write(objects === 1 ? '1 object is valid.\n' : `${objects} objects are valid.\n`);
      }
      if (findings.some(({ severity }) => severity === 'error')) process.exitCode = exitCodes.invalidInput;
    });
}
