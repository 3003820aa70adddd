import { type Command, Option } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { parseClaim } from '../../prove/claim.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';

interface ProveFlags extends ConnectionFlags {
  readonly deny: readonly string[];
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly timeLimit: string;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerProve(program: Command): void {
  const command = program
    .command('prove')
    .summary('prove that a service cannot be reached, or show the request that reaches it')
    .description(
      'Answers claims of the form "nothing of these callers reaches that service". The proxies of the service are asked with every kind of request that their configuration can tell apart, from every identity of the mesh, from clients outside, and in plaintext without any. Either all of them are refused (proved, with the objects that refuse), or one is shown that gets through (refuted).',
    )
    .option(
      '--deny <claim>',
      '"from WHO to SERVICE[.NAMESPACE][:PORT] [METHOD] [PATH]" (repeatable); WHO: anyone, outside, plaintext, namespace/NAME, workload/NAME.NAMESPACE, account/NAME.NAMESPACE, with ! for all others',
      gather,
      [],
    )
    .option(
      '-f, --filename <path>',
      'files or directories of configuration, mesh.yaml too (repeatable; default: the running mesh)',
      gather,
      [],
    )
    .option('-R, --recursive', 'look into subdirectories')
    .option('--time-limit <seconds>', 'look for at most this long at each port', '30')
    .addOption(new Option('-o, --output <format>', 'json or yaml').choices(['json', 'yaml']));
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria prove --deny 'from !namespace/pay to ledger.pay POST /transfer'
  ostria prove --deny 'from plaintext to ledger.pay' -f k8s/ -R
  ostria prove --deny 'from outside to admin.ops /internal/*' --deny 'from !account/web.shop to cart.shop:8080'

Ends with 0 if every claim is proved, with 11 if one is refuted, and with 13 if none is but one is not known.`,
    )
    .action(runProve);
}

async function runProve(flags: ProveFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const seconds = Number(flags.timeLimit);
  if (!(seconds > 0))
    throw new CodedError('UsageInvalid', `--time-limit ${flags.timeLimit} is no number of seconds`);
  if (flags.deny.length === 0) throw new CodedError('UsageInvalid', 'name a claim with --deny');
  const claims = flags.deny.map((text) => {
    const parsed = parseClaim(text);
    if (!parsed.ok) throw new CodedError('UsageInvalid', `--deny: ${parsed.error}`);
    return parsed.value;
  });
  // Loaded where it is needed only: the compile is most of a control plane.
  const sources = await import('../explain/model-source.ts');
  const source =
    flags.filename.length > 0
      ? await sources.sourceOfFiles(flags.filename, flags)
      : await withClient(flags, (client) => sources.sourceOfMesh(client));
  for (const note of source.notes) process.stderr.write(`${note}\n`);
  const model = sources.modelOf(source);
  const { prove } = await import('../../prove/prove.ts');
  const proofs = claims.map((claim) => {
    const result = prove(model, claim, { timeMs: seconds * 1000, now: () => performance.now() });
    if (!result.ok) throw new CodedError(result.error.code, result.error.message);
    return result.proof;
  });
  if (output)
    process.stdout.write(
      formatStructured(
        proofs.map(({ claim, ...rest }) => ({ claim: claim.text, ...rest })),
        output,
      ),
    );
  else {
    const { formatProofs } = await import('../prove/format-proof.ts');
    writeText(formatProofs(proofs, out));
  }
  const states = new Set(proofs.map(({ status }) => status));
  if (states.has('refuted')) process.exitCode = exitCodes.negative;
  else if (states.has('unknown')) process.exitCode = exitCodes.unknown;
}
