import type { Command } from 'commander';
import { kindKey, kinds, type SourceObject } from '../../analyze/analyzer.ts';
import type { Message } from '../../analyze/message.ts';
import { atLeast, type Severity, severities } from '../../analyze/severity.ts';
import { parseSuppression, type Suppression } from '../../analyze/suppression.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { writeText } from '../output/wrap-text.ts';

interface AnalyzeFlags extends ConnectionFlags {
  readonly allNamespaces?: boolean;
  readonly recursive?: boolean;
  readonly useKube?: boolean | string;
  readonly analyzer: readonly string[];
  readonly suppress: readonly string[];
  readonly failureThreshold: string;
  readonly outputThreshold: string;
  readonly output?: string;
  readonly listAnalyzers?: boolean;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerAnalyze(program: Command): void {
  const command = program
    .command('analyze')
    .summary('find mistakes in configuration')
    .description(
      'Looks for mistakes in files, before they are applied, or in the running mesh where no file is named. Of a mesh file it takes the services and what it applies. Messages have Istio’s codes, say where the mistake stands and how to mend it.',
    )
    .argument('[files...]', 'files or directories; - is standard input')
    .option('-R, --recursive', 'look into subdirectories')
    .option('-A, --all-namespaces', 'tell of every namespace (the default, unless -n is given)')
    .option(
      '--use-kube [yes]',
      'true: take files together with what the running mesh has; they replace what it holds',
    )
    .option('--analyzer <name>', 'only this analyzer (repeatable)', gather, [])
    .option(
      '-S, --suppress <code=resource>',
      'leave messages out: "IST0102=Namespace *" (repeatable)',
      gather,
      [],
    )
    .option('--failure-threshold <level>', 'fail at messages of this level: Info, Warning or Error', 'Error')
    .option('--output-threshold <level>', 'show messages from this level on', 'Info')
    .option('-o, --output <format>', 'json or yaml')
    .option('-L, --list-analyzers', 'show the names of the analyzers');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria analyze
  ostria analyze -R networking/
  ostria analyze mesh.yaml
  ostria analyze vs.yaml --failure-threshold Warning --suppress "IST0118=Service *.default"

Ends with 3 if there is a message at or above the failure threshold.`,
    )
    .action(runAnalyze);
}

async function runAnalyze(files: string[], flags: AnalyzeFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const shown = parseLevel('--output-threshold', flags.outputThreshold);
  const failing = parseLevel('--failure-threshold', flags.failureThreshold);
  const suppressions = flags.suppress.map(readSuppression);
  // Loaded where it is needed only: the kinds are most of a control plane.
  const analysis = await import('../analyze/run-analysis.ts');
  if (flags.listAnalyzers) {
    process.stdout.write(analysis.analyzerNames.map((name) => `${name}\n`).join(''));
    return;
  }
  const useMesh = files.length === 0 || flags.useKube === true || flags.useKube === 'true';
  const { readSources } = await import('../analyze/read-sources.ts');
  const { sources: fromFiles, broken, meshFiles } = readSources(files, flags);
  const sources = useMesh ? await withMesh(fromFiles, analysis.analyzedKinds, flags) : fromFiles;
  const found = analysis.runAnalysis(sources, flags.analyzer, {
    suppressions,
    assumeInstallation: !useMesh && meshFiles.length === 0,
    workloadsKnown: useMesh || sources.some(isWorkload),
  });
  const namespace = flags.allNamespaces ? undefined : flags.namespace;
  const messages = found.filter((message) => namespace === undefined || isAbout(message, namespace));
  const visible = messages.filter(({ severity }) => atLeast(severity, shown));
  for (const line of broken) process.stderr.write(`${line}\n`);
  if (output) process.stdout.write(formatStructured(visible.map(structured), output));
  else writeText(visible.map(formatMessage).join(''));
  if (!output && visible.length === 0 && broken.length === 0)
    process.stderr.write(`Nothing found in ${sources.length} objects.\n`);
  if (broken.length > 0 || messages.some(({ severity }) => atLeast(severity, failing)))
    process.exitCode = exitCodes.invalidInput;
}

/** The mesh as it would be with the files in it. */
async function withMesh(
  files: readonly SourceObject[],
  kinds: ReadonlySet<string>,
  flags: AnalyzeFlags,
): Promise<readonly SourceObject[]> {
  const { client } = connect(flags);
  try {
    const { readMesh } = await import('../analyze/read-mesh.ts');
    const { sources, unread } = await readMesh(client, kinds);
    if (unread.length > 0) process.stderr.write(`Not read, since this user may not: ${unread.join(', ')}\n`);
    const replaced = new Set(files.map(identity));
    return [...files, ...sources.filter((one) => !replaced.has(identity(one)))];
  } finally {
    client.close();
  }
}

function isWorkload({ object }: SourceObject): boolean {
  const kind = kindKey(object);
  return kind === kinds.pod || kind === kinds.workloadEntry;
}

function identity({ object }: SourceObject): string {
  return `${kindKey(object)} ${object.metadata?.namespace || 'default'}/${object.metadata?.name}`;
}

function isAbout({ resource }: Message, namespace: string): boolean {
  const name = resource.slice(resource.indexOf(' ') + 1);
  return name.includes('/')
    ? name.startsWith(`${namespace}/`)
    : resource === `Namespace ${namespace}` || namespace === 'default';
}

function formatMessage({ severity, code, resource, position, message }: Message): string {
  const place = position ? ` ${position.file}:${position.line}:${position.column}` : '';
  return `${severity} [${code}] (${resource}${place}) ${message}\n`;
}

function structured({ severity, ...message }: Message): Record<string, unknown> {
  return { level: severity, ...message };
}

function parseLevel(flag: string, text: string): Severity {
  const found = severities.find((severity) => severity.toLowerCase() === text.toLowerCase());
  if (found) return found;
  throw new CodedError('UsageInvalid', `${flag} ${text} is no level; it can be ${severities.join(', ')}`);
}

function readSuppression(text: string): Suppression {
  const found = parseSuppression(text);
  if (found) return found;
  throw new CodedError(
    'UsageInvalid',
    `--suppress ${text} is not read; write CODE=KIND NAME.NAMESPACE, such as "IST0102=Namespace *"`,
  );
}
