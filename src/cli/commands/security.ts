import type { Command } from 'commander';
import { type Finding, findingLevels } from '../../analyze/security/finding.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { addConnectionFlags, type ConnectionFlags } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatPosition } from '../origins/locate.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';

interface CheckFlags extends ConnectionFlags {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly failureThreshold: string;
  readonly outputThreshold: string;
  readonly output?: string;
}

/** `ostria security`. */
export function registerSecurity(program: Command): void {
  const group = program
    .command('security')
    .summary('find what is more open than it need be')
    .addHelpText('after', '\nExamples:\n  ostria security check\n  ostria security check -f networking/ -R');
  const command = group
    .command('check')
    .summary('report every permissive spot, with the line that opens it')
    .description(
      'Looks through the running mesh, or the files named, for what lets in more than it need: plaintext, workloads without a policy, rules for everybody, servers that are not verified, doors without TLS, patches below the policies. Says for each why it matters, which line opens it and what closes it.',
    )
    .option('-f, --filename <path...>', 'files or directories, instead of the running mesh')
    .option('-R, --recursive', 'look into subdirectories')
    .option(
      '--failure-threshold <level>',
      'fail at findings of this level: Info, Low, Medium or High',
      'High',
    )
    .option('--output-threshold <level>', 'show findings from this level on', 'Info')
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria security check
  ostria security check -f mesh.yaml --failure-threshold Medium
  ostria security check -o json --output-threshold High

Ends with 3 if there is a finding at or above the failure threshold.`,
    )
    .action(async (flags: CheckFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const shown = level('--output-threshold', flags.outputThreshold);
      const failing = level('--failure-threshold', flags.failureThreshold);
      const { findOpenSpots } = await import('../security/find-open-spots.ts');
      const found = await findOpenSpots(flags.filename ?? [], flags);
      const rank = ({ level: own }: Finding) => findingLevels.indexOf(own);
      const visible = found.filter((finding) => rank(finding) >= shown);
      process.stdout.write(output ? formatStructured(visible, output) : reportText(visible));
      if (found.some((finding) => rank(finding) >= failing)) process.exitCode = exitCodes.invalidInput;
    });
}

function level(flag: string, text: string): number {
  const found = findingLevels.findIndex((one) => one.toLowerCase() === text.toLowerCase());
  if (found >= 0) return found;
  throw new CodedError('UsageInvalid', `${flag} ${text} is no level; it can be ${findingLevels.join(', ')}`);
}

const colors = { High: out.red, Medium: out.yellow, Low: out.cyan, Info: out.dim } as const;

function reportText(findings: readonly Finding[]): string {
  const texts = findings.map(({ level: own, code, resource, path, what, why, mend, position }) => {
    const place = position ? `  ${out.cyan(formatPosition(position))}` : '';
    return [
      `${colors[own](own.padEnd(6))} ${out.bold(resource)}  ${what}${out.dim(`  [${code}]`)}`,
      `       ${path === '' ? '' : `${path}  `}${place.trim()}`.trimEnd(),
      `       ${out.dim('why ')} ${why}`,
      `       ${out.dim('mend')} ${mend}`,
    ]
      .filter((text) => text.trim() !== '')
      .join('\n');
  });
  const counts = findingLevels
    .toReversed()
    .map((one) => [one, findings.filter((finding) => finding.level === one).length] as const)
    .filter(([, count]) => count > 0)
    .map(([one, count]) => `${count} ${one}`);
  return `${texts.map((text) => `${text}\n`).join('\n')}${texts.length > 0 ? '\n' : ''}${counts.join(', ') || 'Nothing is more open than it need be'}.\n`;
}
