import { type Command, Option } from 'commander';
import type { Explanation } from '../../explain/explanation.ts';
import type { Question } from '../../explain/question.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { parseIp } from '../../kit/ip.ts';
import type { Model } from '../../model/model.ts';
import type { SimulationOptions } from '../../simulate/call.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import type { LiveCheck } from '../explain/live.ts';
import type { ModelSource } from '../explain/model-source.ts';
import { requireRunning } from '../meshes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';

interface ExplainFlags extends ConnectionFlags {
  readonly from: string;
  readonly header: readonly string[];
  readonly jwt?: string;
  readonly as?: string;
  readonly address?: string;
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly live?: boolean;
  readonly at?: string;
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
      '--address <ip>',
      'IP address that a client outside, or one without a sidecar, calls from (default: its own; outside, one of the internet)',
    )
    .option(
      '-f, --filename <path>',
      'files or directories of configuration, mesh.yaml too (repeatable)',
      gather,
      [],
    )
    .option('-R, --recursive', 'look into subdirectories')
    .option('--at <time>', 'in the running mesh as it was: 14:00, 10m (ago) or a revision of ostria history')
    .option('--live', 'send the request through the real proxies of the mesh on this machine, and compare')
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
  ostria explain --from web http://orders/7 --at 14:05
  ostria explain --from web http://orders/7 --live

Ends with 0 if the request reaches its destination or is answered as configured, with 11 if some or all
such requests are refused or fail, with 13 if they leave the mesh for a host or port that nothing in it declares
(whether anything answers there is not known: --live finds out), with 3 if the files do not pass their checks, and
with 1 if --live finds that prediction and reality differ. --live makes a real call: what it does to the application is done.`,
    )
    .action(runExplain);
}

async function runExplain(request: string[], flags: ExplainFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  checkFlags(flags);
  const question = await questionOf(request, flags);
  // Loaded where it is needed only: the compile is most of a control plane.
  const sources = await import('../explain/model-source.ts');
  const { explain } = await import('../../explain/explain.ts');
  const { verifySignature } = await import('../../kit/verify-signature.ts');
  const source = await sourceFor(sources, flags);
  for (const note of source.notes) process.stderr.write(`${note}\n`);
  const model = sources.modelOf(source, { onDemand: true });
  const options = { now: Date.now(), verify: verifySignature };
  const answer = explain(model, question, options);
  if (!answer.ok) throw new CodedError(answer.error.code, answer.error.message);
  const { explanation: found } = answer;
  const explanation = { ...found, assumptions: [...found.assumptions, ...source.assumptions] };
  const live = flags.live ? await sendLive(model, question, explanation, options, flags) : undefined;
  await print(explanation, live, output);
  if (live && !live.agrees) process.exitCode = exitCodes.failure;
  else process.exitCode = exitCodeFor(explanation, live);
}

async function sendLive(
  model: Model,
  question: Question,
  explanation: Explanation,
  options: SimulationOptions,
  { mesh }: ExplainFlags,
): Promise<LiveCheck> {
  const { checkLive } = await import('../explain/live.ts');
  return checkLive(requireRunning(mesh).paths, model, question, explanation, options);
}

function checkFlags({ at, filename, live, address }: ExplainFlags): void {
  if (address !== undefined && !parseIp(address))
    throw new CodedError('UsageInvalid', `--address ${address} is no IP address`);
  if (filename.length > 0 && (at !== undefined || live))
    throw new CodedError(
      'UsageInvalid',
      `${live ? '--live' : '--at'} is about the running mesh: leave out -f`,
    );
  if (at !== undefined && live)
    throw new CodedError(
      'UsageInvalid',
      '--at asks about what was, which nothing can be sent through: leave out --live',
    );
}

/** The mesh that is asked about: files, or what runs. */
async function sourceFor(
  sources: typeof import('../explain/model-source.ts'),
  flags: ExplainFlags,
): Promise<ModelSource> {
  if (flags.filename.length > 0) return sources.sourceOfFiles(flags.filename, flags);
  return withClient(flags, (client) => sources.sourceOfMesh(client, flags.at));
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
    ...(flags.address === undefined ? {} : { address: flags.address }),
  };
}

/** `name: value`, or `name=value`. */
function readHeader(text: string): [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=]\s*(.*)$/.exec(text);
  if (!match) throw new CodedError('UsageInvalid', `--header ${text} is not read; write "name: value"`);
  return [match[1]?.toLowerCase() ?? '', match[2] ?? ''];
}

async function print(
  explanation: Explanation,
  live: LiveCheck | undefined,
  output: 'json' | 'yaml' | undefined,
): Promise<void> {
  if (output) {
    process.stdout.write(formatStructured(live ? { ...explanation, live } : explanation, output));
    return;
  }
  const { formatExplanation, formatLive } = await import('../explain/format-explanation.ts');
  writeText(formatExplanation(explanation, out));
  if (live) writeText(formatLive(live, out));
}

function exitCodeFor({ verdict }: Explanation, live: LiveCheck | undefined): ExitCode {
  if (verdict.outcome === 'unknown') {
    if (!live) return exitCodes.unknown;
    return live.answered ? exitCodes.ok : exitCodes.negative;
  }
  return verdict.outcome === 'delivered' || verdict.outcome === 'answered'
    ? exitCodes.ok
    : exitCodes.negative;
}
