import type { Command } from 'commander';
import type { Colors } from 'picocolors/types.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import type { CheckedPatch, EnvoyFilterCheck } from '../describe/check-envoy-filters.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';

interface CheckFlags extends ConnectionFlags {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly envoy?: string | true;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerEnvoyFilter(program: Command): void {
  const group = program
    .command('envoyfilter')
    .summary('what EnvoyFilters come to')
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  ostria envoyfilter check\n  ostria envoyfilter check -f filters/ --envoy',
    );
  const command = group
    .command('check')
    .summary('say which patches hit what, and which are dead')
    .description(
      'Compiles every proxy with the EnvoyFilters there are and says of each patch in which proxies and resources it changes something, or why it changes nothing. Shows the order where patches of several filters meet in one resource. Of the running mesh, or of files (-f).',
    )
    .option(
      '-f, --filename <path>',
      'files or directories of configuration, mesh.yaml too (repeatable)',
      gather,
      [],
    )
    .option('-R, --recursive', 'look into subdirectories')
    .option(
      '--envoy [path]',
      'load the result into a real Envoy too: this binary, as of another version, or the one that ostria uses',
    )
    .option('-o, --output <format>', 'json or yaml')
    .exitOverride();
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria envoyfilter check
  ostria envoyfilter check -f mesh.yaml -f filters/
  ostria envoyfilter check --envoy /opt/envoy-1.41/envoy
  ostria envoyfilter check -o json

Ends with 11 if a patch changes nothing, or the Envoy that was asked refuses a resource.`,
    )
    .action(async (flags: CheckFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      // Loaded where it is needed only: the compile is most of a control plane.
      const { modelOf, sourceOfFiles, sourceOfMesh } = await import('../explain/model-source.ts');
      const { checkEnvoyFilters, checkInEnvoy } = await import('../describe/check-envoy-filters.ts');
      const source =
        flags.filename.length > 0
          ? await sourceOfFiles(flags.filename, flags)
          : await withClient(flags, (client) => sourceOfMesh(client));
      const model = modelOf(source);
      const check =
        flags.envoy === undefined
          ? checkEnvoyFilters(model)
          : await checkInEnvoy(model, flags.envoy === true ? await ourEnvoy() : flags.envoy);
      const within = ({ filter }: CheckedPatch) =>
        flags.namespace === undefined || filter.startsWith(`${flags.namespace}/`);
      const shown = { ...check, patches: check.patches.filter(within) };
      if (output) process.stdout.write(formatStructured(shown, output));
      else writeText(formatCheck(shown, out));
      if (
        (shown.broken ?? []).length > 0 ||
        shown.patches.some(({ state }) => state === 'dead' || state === 'no proxy')
      )
        process.exitCode = exitCodes.negative;
    });
}

async function ourEnvoy(): Promise<string> {
  const { findEnvoy } = await import('../../agent/envoy-binary.ts');
  return (await findEnvoy()).path;
}

export function formatCheck(
  { patches, shared, broken }: EnvoyFilterCheck,
  { bold, green, red, yellow, dim }: Colors,
): string {
  if (patches.length === 0) return 'There are no EnvoyFilters.\n';
  const signs = { hits: green('✔'), dead: red('✘'), 'no proxy': yellow('!'), 'not checked': dim('-') };
  const lines: string[] = [];
  for (const [filter, own] of Map.groupBy(patches, (patch) => patch.filter)) {
    lines.push(bold(`EnvoyFilter ${filter}`));
    for (const { index, applyTo, operation, at, state, proxies, selected, resources, why } of own) {
      const place = at === '' ? '' : `  ${dim(at)}`;
      const verdict =
        state === 'hits'
          ? `changes ${resources.join(', ')}`
          : state === 'dead'
            ? `changes nothing: ${why}`
            : why;
      lines.push(`  ${signs[state]} [${index}] ${operation} ${applyTo}${place}`, `      ${verdict}`);
      if (state === 'hits')
        lines.push(
          `      ${dim(`in ${proxies.length} of ${selected} selected proxies: ${proxies.join(', ')}`)}`,
        );
    }
  }
  for (const { resource, patches: order } of shared)
    lines.push(
      `${bold(resource)} is changed by several filters, in this order:`,
      ...order.map((one) => `  ${one}`),
    );
  for (const { proxy, resource, message, patches: of } of broken ?? [])
    lines.push(
      `${red('✘')} Envoy refuses ${bold(resource)} of ${proxy}: ${message}`,
      ...of.map((one) => `    patched by ${one}`),
    );
  if (broken?.length === 0) lines.push(`${green('✔')} Envoy takes all that was made.`);
  return `${lines.join('\n')}\n`;
}
