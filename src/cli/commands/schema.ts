import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomicSync } from '../../kit/atomic-file.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { makeDirectory } from '../../kit/make-directory.ts';

interface SchemaFlags {
  readonly directory?: string;
}

export function registerSchema(program: Command): void {
  program
    .command('schema')
    .summary('print JSON schemas of what Ostria reads')
    .description(
      'Prints a JSON schema (draft 7): of every object that a mesh takes, of one kind, of a mesh file (mesh.yaml), or of a file of tests (*.mesh-test.yaml). Editors and checkers of YAML read it.',
    )
    .argument(
      '[kind]',
      'such as VirtualService or virtualservices.networking.istio.io; mesh for mesh.yaml; mesh-test for *.mesh-test.yaml; default: all',
    )
    .option(
      '-d, --directory <dir>',
      'write one file a kind and version, group/kind_version.json, with all.json, mesh.json and mesh-test.json',
    )
    .addHelpText(
      'after',
      `
Examples:
  ostria schema > ostria.schema.json      then, at the head of a file:  # yaml-language-server: $schema=ostria.schema.json
  ostria schema VirtualService
  ostria schema mesh-test > mesh-test.schema.json
  ostria schema -d schemas/
  kubeconform -schema-location 'schemas/{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json' routes.yaml`,
    )
    .action(printSchema);
}

async function printSchema(name: string | undefined, { directory }: SchemaFlags): Promise<void> {
  const { schemaFiles, schemaOf } = await import('../schema/print-schema.ts');
  if (directory === undefined) {
    process.stdout.write(`${JSON.stringify(schemaOf(name), null, 2)}\n`);
    return;
  }
  if (name !== undefined)
    throw new CodedError('UsageInvalid', `-d writes every schema; leave out ${name}, or leave out -d`);
  const files = schemaFiles();
  for (const [path, schema] of files) {
    const file = join(directory, path);
    makeDirectory(dirname(file));
    writeFileAtomicSync(file, `${JSON.stringify(schema, null, 2)}\n`, 0o644);
  }
  process.stderr.write(`Wrote ${files.length} schemas below ${directory}\n`);
}
