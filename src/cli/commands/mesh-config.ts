import type { Command } from 'commander';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { textTable } from '../output/text-table.ts';

interface MeshConfigAnswer {
  readonly inForce: Readonly<Record<string, unknown>>;
  readonly notActedOn: readonly { readonly field: string; readonly instead: string }[];
}

export function registerMeshConfig(program: Command): void {
  const command = program
    .command('mesh-config')
    .summary('show the mesh-wide settings in force')
    .description(
      'Shows MeshConfig as the control plane has it: the ConfigMap istio of the root namespace over its own settings. Fields that are set and not acted on are named, with what happens instead.',
    )
    .option('-o, --output <format>', 'json or yaml: everything');
  addConnectionFlags(command)
    .addHelpText('after', '\nExamples:\n  ostria mesh-config\n  ostria mesh-config -o yaml')
    .action(async (flags: ConnectionFlags & { readonly output?: string }) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const answer = await withClient(flags, (client) => client.get<MeshConfigAnswer>('/debug/mesh-config'));
      process.stdout.write(output ? formatStructured(answer, output) : meshConfigTable(answer));
    });
}

function meshConfigTable({ inForce, notActedOn }: MeshConfigAnswer): string {
  const settings = Object.entries(inForce)
    .filter(([field]) => field !== 'extra')
    .map(([field, value]) => [field, typeof value === 'string' ? value : JSON.stringify(value)]);
  const ignored = notActedOn.map(({ field, instead }) => [field, instead]);
  return [
    textTable(['FIELD', 'VALUE'], settings),
    ignored.length > 0 ? `\n${textTable(['NOT ACTED ON', 'INSTEAD'], ignored)}` : '',
  ].join('');
}
