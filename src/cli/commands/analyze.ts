import type { Command } from 'commander';
import { kindKey, kinds, type SourceObject } from '../../analyze/analyzer.ts';
import { atLeast, type Message, type Severity, severities } from '../../analyze/message.ts';
import { parseSuppression, type Suppression } from '../../analyze/suppression.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { collectObjects, shortPath } from '../apply/collect-objects.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';

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
  const { sources: fromFiles, broken, hasMeshFile } = await readFiles(files, flags);
  const sources = useMesh ? await withMesh(fromFiles, analysis.analyzedKinds, flags) : fromFiles;
  const found = analysis.runAnalysis(sources, flags.analyzer, {
    suppressions,
    assumeInstallation: !useMesh && !hasMeshFile,
    workloadsKnown: useMesh || sources.some(isWorkload),
  });
  const namespace = flags.allNamespaces ? undefined : flags.namespace;
  const messages = found.filter((message) => namespace === undefined || isAbout(message, namespace));
  const visible = messages.filter(({ severity }) => atLeast(severity, shown));
  for (const line of broken) process.stderr.write(`${line}\n`);
  process.stdout.write(
    output ? formatStructured(visible.map(structured), output) : visible.map(formatMessage).join(''),
  );
  if (!output && visible.length === 0 && broken.length === 0)
    process.stderr.write(`Nothing found in ${sources.length} objects.\n`);
  if (broken.length > 0 || messages.some(({ severity }) => atLeast(severity, failing)))
    process.exitCode = exitCodes.invalidInput;
}

interface ReadFiles {
  readonly sources: readonly SourceObject[];
  /** Lines about files that could not be read. */
  readonly broken: readonly string[];
  readonly hasMeshFile: boolean;
}

/** Objects of files; of a mesh file, what it publishes and what it applies. */
async function readFiles(
  files: readonly string[],
  { recursive = false, namespace }: AnalyzeFlags,
): Promise<ReadFiles> {
  if (files.length === 0) return { sources: [], broken: [], hasMeshFile: false };
  const { findMeshFiles, meshFileObjects } = await import('../analyze/mesh-file-objects.ts');
  const meshFiles = findMeshFiles(files);
  const mesh = meshFileObjects(meshFiles);
  const meshNames = new Set(meshFiles.map(shortPath));
  const plain = collectObjects(
    files.filter((file) => !meshFiles.includes(file)),
    { recursive },
  );
  const known = new Set(plain.objects.map(({ positions }) => positions.file));
  const applied = collectObjects(mesh.apply, { recursive: true });
  const objects = [
    ...plain.objects,
    ...applied.objects.filter(({ positions }) => !known.has(positions.file)),
  ];
  const sources = objects.map(({ object, positions }) => {
    const { metadata } = object;
    const given = namespace !== undefined && !metadata?.namespace && object.kind !== 'Namespace';
    return { positions, object: given ? { ...object, metadata: { ...metadata, namespace } } : object };
  });
  const broken = [...plain.problems, ...applied.problems]
    .filter(({ file }) => !meshNames.has(file))
    .map(({ file, line, column, message }) => `error: ${file}:${line}:${column}: ${message}`);
  return {
    sources: [...mesh.sources, ...sources],
    broken: [...mesh.problems, ...new Set(broken)],
    hasMeshFile: meshFiles.length > 0,
  };
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
