import { type Command, Option } from 'commander';
import type { Explanation } from '../../explain/explanation.ts';
import type { Question } from '../../explain/question.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ModelSource } from '../explain/model-source.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';

interface ExplainFlags extends ConnectionFlags {
  readonly from: string;
  readonly header: readonly string[];
  readonly jwt?: string;
  readonly as?: string;
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerExplain(program: Command): void {
  const command = program
    .command('explain')
    .summary('say what becomes of a request, and who decides it')
    .description(
      'Follows one request through the sidecar of its client, gateways on the way and the sidecar of its server, and says of each decision which object and line made it, what came close and why it lost. On files (-f), nothing needs to run; without them the running mesh is asked.',
    )
    .argument(
      '<request...>',
      'METHOD and URL, or the URL alone (GET): http, https, grpc, tcp://host:port, tls://name:port',
    )
    .requiredOption(
      '--from <caller>',
      'who calls: a workload (name, or name.namespace), the IP address of one, ingress, or a gateway’s name',
    )
    .option('-H, --header <name: value>', 'a header of the request (repeatable)', gather, [])
    .option('--jwt <file>', 'token that the request carries, or its claims as a JSON object')
    .option(
      '--as <identity>',
      'identity that the caller proves instead of its own: namespace/serviceAccount or spiffe://…',
    )
    .option(
      '-f, --filename <path>',
      'files or directories of configuration, mesh.yaml too (repeatable)',
      gather,
      [],
    )
    .option('-R, --recursive', 'look into subdirectories')
    .addOption(new Option('-o, --output <format>', 'json or yaml').choices(['json', 'yaml']));
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria explain --from productpage-v1 http://reviews:9080/reviews/0
  ostria explain --from productpage-v1 GET http://reviews:9080/ -H "end-user: jason"
  ostria explain --from ingress https://shop.example/cart -f k8s/ -R
  ostria explain --from web DELETE http://orders/7 --as shop/admin --jwt token.txt -f mesh.yaml
  ostria explain --from web tcp://redis:6379 -o json

Ends with 0 if the request reaches its destination or is answered as configured, with 11 if some or all
such requests are refused or fail, and with 3 if the files do not pass their checks.`,
    )
    .action(runExplain);
}

async function runExplain(request: string[], flags: ExplainFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const question = await questionOf(request, flags);
  // Loaded where it is needed only: the compile is most of a control plane.
  const sources = await import('../explain/model-source.ts');
  const { explain } = await import('../../explain/explain.ts');
  const { verifySignature } = await import('../explain/token.ts');
  const source = await sourceFor(sources, flags);
  for (const note of source.notes) process.stderr.write(`${note}\n`);
  const answer = explain(sources.modelOf(source), question, { now: Date.now(), verify: verifySignature });
  if (!answer.ok) throw new CodedError(answer.error.code, answer.error.message);
  await print(answer.explanation, output);
  if (!succeeds(answer.explanation)) process.exitCode = exitCodes.negative;
}

/** The mesh that is asked about: files, or what runs. */
async function sourceFor(
  sources: typeof import('../explain/model-source.ts'),
  flags: ExplainFlags,
): Promise<ModelSource> {
  if (flags.filename.length > 0) return sources.sourceOfFiles(flags.filename, flags);
  return withClient(flags, (client) => sources.sourceOfMesh(client));
}

async function questionOf(request: readonly string[], flags: ExplainFlags): Promise<Question> {
  if (request.length > 2)
    throw new CodedError(
      'UsageInvalid',
      `${request.join(' ')} is more than a method and a URL; quote the URL if it holds blanks`,
    );
  const url = request.at(-1) ?? '';
  const method = request.length === 2 ? request[0]?.toUpperCase() : undefined;
  if (method !== undefined && !/^[A-Z-]+$/.test(method))
    throw new CodedError(
      'UsageInvalid',
      `${request[0]} is no method: write it before the URL, as in GET http://reviews:9080/`,
    );
  const headers = Object.fromEntries(flags.header.map(readHeader));
  const token =
    flags.jwt === undefined ? undefined : (await import('../explain/token.ts')).readTokenFile(flags.jwt);
  return {
    from: flags.from,
    url,
    ...(method === undefined ? {} : { method }),
    headers: token && 'token' in token ? { ...headers, authorization: `Bearer ${token.token}` } : headers,
    ...(token && 'claims' in token ? { claims: token.claims } : {}),
    ...(flags.as === undefined ? {} : { as: flags.as }),
  };
}

/** `name: value`, or `name=value`. */
function readHeader(text: string): [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=]\s*(.*)$/.exec(text);
  if (!match) throw new CodedError('UsageInvalid', `--header ${text} is not read; write "name: value"`);
  return [match[1]?.toLowerCase() ?? '', match[2] ?? ''];
}

async function print(explanation: Explanation, output: 'json' | 'yaml' | undefined): Promise<void> {
  if (output) {
    process.stdout.write(formatStructured(explanation, output));
    return;
  }
  const { formatExplanation } = await import('../explain/format-explanation.ts');
  process.stdout.write(formatExplanation(explanation, out));
}

function succeeds({ verdict }: Explanation): boolean {
  return verdict.outcome === 'delivered' || verdict.outcome === 'answered';
}
