import type { Command } from 'commander';
import type { ConfigObject } from '../../config/object.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { type ApiResource, discover, resourceOfName, resourcePath } from '../api/discovery.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { getAt } from '../history/get-at.ts';
import { parseWhen } from '../history/parse-when.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { textTable } from '../output/text-table.ts';

interface GetFlags extends ConnectionFlags {
  readonly allNamespaces?: boolean;
  readonly output?: string;
  readonly selector?: string;
  readonly fieldSelector?: string;
  readonly watch?: boolean;
  readonly at?: string;
}

export function registerGet(program: Command): void {
  const command = program
    .command('get')
    .summary('show objects')
    .description('Shows objects of one or several types in the server’s own columns.')
    .argument('<types>', 'resource types, comma separated (vs, services, TYPE/NAME), or api-resources')
    .argument('[names...]', 'names')
    .option('-A, --all-namespaces', 'in every namespace')
    .option('-o, --output <format>', 'wide, name, json or yaml')
    .option('-l, --selector <labels>', 'only objects with these labels')
    .option('--field-selector <fields>', 'only objects with these fields')
    .option('-w, --watch', 'go on with what changes')
    .option('--at <time>', 'as they were: 14:00, 10m (ago) or a revision of ostria history');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria get virtualservices
  ostria get vs reviews -o yaml
  ostria get services,pods -A
  ostria get workloadentries -l app=reviews -w
  ostria get vs reviews --at 14:00
  ostria get api-resources`,
    )
    .action(runGet);
}

interface Table {
  readonly kind: string;
  readonly metadata?: { readonly resourceVersion?: string };
  readonly columnDefinitions: readonly { readonly name: string; readonly priority?: number }[];
  readonly rows: readonly {
    readonly cells: readonly unknown[];
    readonly object?: { readonly metadata?: { readonly name?: string; readonly namespace?: string } };
  }[];
}

const tableType = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

/** One request's worth: a type, with a name or without. */
interface Target {
  readonly resource: ApiResource;
  readonly name?: string;
}

async function runGet(types: string, names: string[], flags: GetFlags): Promise<void> {
  const output = parseOutput(flags.output, ['wide', 'name', 'json', 'yaml']);
  const { client, namespace } = connect(flags);
  try {
    const resources = await discover(client);
    if (types === 'api-resources') {
      process.stdout.write(resourcesTable(resources));
      return;
    }
    const targets = targetsOf(resources, types, names);
    if (flags.allNamespaces && targets.some(({ name }) => name !== undefined))
      throw new CodedError(
        'UsageInvalid',
        'a name and --all-namespaces do not go together; give -n NAMESPACE',
      );
    const where = flags.allNamespaces ? undefined : namespace;
    if (flags.at !== undefined) {
      await showPast(client, targets, where, { ...flags, at: flags.at });
      return;
    }
    if (output === 'json' || output === 'yaml') {
      process.stdout.write(formatStructured(await readObjects(client, targets, where, flags), output));
      return;
    }
    const print = printerOf(targets, where, output);
    for (const target of targets) {
      const table = await client.get<Table>(pathOf(target, where, flags), { accept: tableType });
      print(target, table);
      if (flags.watch) {
        if (targets.length > 1) throw new CodedError('UsageInvalid', '--watch takes one type at a time');
        await watchTable(client, target, where, flags, table, print);
      }
    }
  } finally {
    client.close();
  }
}

/** The server's columns are of the present: what was is shown as it stood. */
async function showPast(
  client: ApiClient,
  targets: readonly Target[],
  namespace: string | undefined,
  { at, output = 'yaml', watch, selector, fieldSelector }: GetFlags & { at: string },
): Promise<void> {
  if (output === 'wide' || watch || selector !== undefined || fieldSelector !== undefined)
    throw new CodedError('UsageInvalid', '--at goes with names, -n, -A and -o json, yaml or name only');
  const items = await getAt(client, parseWhen(at), targets, namespace);
  const [only] = items;
  if (!only && targets.every(({ name }) => name !== undefined))
    throw new CodedError('ObjectUnknown', `there was no such object at ${at}; ostria history lists changes`);
  if (output === 'name')
    process.stdout.write(
      items.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}\n`).join(''),
    );
  else {
    const single = items.length === 1 && targets[0]?.name !== undefined;
    const value = single ? only : { apiVersion: 'v1', kind: 'List', items };
    process.stdout.write(formatStructured(value, output === 'json' ? 'json' : 'yaml'));
  }
}

function targetsOf(resources: readonly ApiResource[], types: string, names: readonly string[]): Target[] {
  return types.split(',').flatMap((type) => {
    const [typeName = '', ownName] = type.split('/');
    const resource = resourceOfName(resources, typeName);
    const all = ownName === undefined ? names : [ownName, ...names];
    return all.length === 0 ? [{ resource }] : all.map((name) => ({ resource, name }));
  });
}

function pathOf(
  target: Target,
  namespace: string | undefined,
  flags: GetFlags,
  extra: Record<string, string> = {},
): string {
  const query = new URLSearchParams(extra);
  if (flags.selector) query.set('labelSelector', flags.selector);
  if (flags.fieldSelector) query.set('fieldSelector', flags.fieldSelector);
  const text = query.toString();
  return `${resourcePath(target.resource, namespace, target.name)}${text === '' ? '' : `?${text}`}`;
}

async function readObjects(
  client: ApiClient,
  targets: readonly Target[],
  namespace: string | undefined,
  flags: GetFlags,
): Promise<unknown> {
  const answers = await Promise.all(
    targets.map((target) =>
      client.get<ConfigObject & { items?: ConfigObject[] }>(pathOf(target, namespace, flags)),
    ),
  );
  const [only] = answers;
  if (answers.length === 1 && only && targets[0]?.name !== undefined) return only;
  const items = answers.flatMap((answer, index) => {
    const { resource } = targets[index] as Target;
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
    // Items of a list leave out what the list says already.
    return (answer.items ?? [answer]).map((item) => ({ ...item, apiVersion, kind: resource.kind }));
  });
  return { apiVersion: 'v1', kind: 'List', items };
}

type Print = (target: Target, table: Table, options?: { header?: boolean }) => void;

function printerOf(
  targets: readonly Target[],
  namespace: string | undefined,
  output: string | undefined,
): Print {
  let printed = 0;
  return (target, table, { header = true } = {}) => {
    const { resource } = target;
    if (output === 'name') {
      const group = resource.group === '' ? '' : `.${resource.group}`;
      for (const row of table.rows)
        process.stdout.write(`${resource.singular}${group}/${row.object?.metadata?.name ?? row.cells[0]}\n`);
      return;
    }
    if (table.rows.length === 0 && header) {
      const place = resource.namespaced && namespace !== undefined ? ` in namespace ${namespace}` : '';
      process.stderr.write(`No ${resource.plural} found${place}.\n`);
      return;
    }
    const columns = table.columnDefinitions.map(({ priority = 0 }, index) => ({
      index,
      shown: priority === 0 || output === 'wide',
    }));
    const shown = columns.filter((column) => column.shown).map(({ index }) => index);
    const withNamespace = resource.namespaced && namespace === undefined;
    const prefix = targets.length > 1 && targets.some((other) => other.resource !== resource);
    const rows = table.rows.map((row) => {
      const cells = shown.map((index) => cellText(row.cells[index]));
      if (prefix && cells[0] !== undefined) cells[0] = `${resource.singular}/${cells[0]}`;
      return withNamespace ? [row.object?.metadata?.namespace ?? '', ...cells] : cells;
    });
    const names = shown.map((index) => (table.columnDefinitions[index]?.name ?? '').toUpperCase());
    if (printed++ > 0 && header) process.stdout.write('\n');
    process.stdout.write(textTable(header ? (withNamespace ? ['NAMESPACE', ...names] : names) : [], rows));
  };
}

function cellText(cell: unknown): string {
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

async function watchTable(
  client: ApiClient,
  target: Target,
  namespace: string | undefined,
  flags: GetFlags,
  first: Table,
  print: Print,
): Promise<void> {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort()).once('SIGTERM', () => abort.abort());
  const { name, resource } = target;
  const path = pathOf(
    { resource },
    namespace,
    {
      ...flags,
      ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
    },
    { watch: 'true', resourceVersion: first.metadata?.resourceVersion ?? '' },
  );
  let columns = first.columnDefinitions;
  for await (const event of client.stream(path, abort.signal, tableType)) {
    const { type, object } = event as { type: string; object: Table & { message?: string } };
    if (type === 'ERROR')
      throw new CodedError(
        'WatchEnded',
        `the watch has ended: ${object.message ?? 'the server ended it'}; run the command again`,
      );
    if (type === 'BOOKMARK') continue;
    columns = object.columnDefinitions?.length ? object.columnDefinitions : columns;
    print(target, { ...object, columnDefinitions: columns }, { header: false });
  }
}

function resourcesTable(resources: readonly ApiResource[]): string {
  const rows = resources.map((resource) => [
    resource.plural,
    resource.shortNames.join(','),
    resource.group === '' ? resource.version : `${resource.group}/${resource.version}`,
    String(resource.namespaced),
    resource.kind,
  ]);
  return textTable(['NAME', 'SHORTNAMES', 'APIVERSION', 'NAMESPACED', 'KIND'], rows);
}
