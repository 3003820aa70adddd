import type { Command } from 'commander';
import type { ConfigObject } from '../../config/object.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { pooled } from '../../kit/pooled.ts';
import type { ApiClient } from '../api/api-client.ts';
import {
  type ApiResource,
  discover,
  isNotFound,
  resourceOfName,
  resourceOfObject,
  resourcePath,
} from '../api/discovery.ts';
import { formatProblem } from '../apply/apply-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { addCareFlags, type CareFlags, careOf } from '../apply/wait/care.ts';
import { tryRemoval } from '../apply/wait/try-removal.ts';
import { addWaitFlags, durationOf, prepareWait, type WaitFlags } from '../apply/wait/wait-for-writes.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { err } from '../output/style.ts';
import { readOrNone } from '../rollback/restore-objects.ts';

interface DeleteFlags extends ConnectionFlags, WaitFlags, CareFlags {
  readonly filename?: string[];
  readonly recursive?: boolean;
  readonly all?: boolean;
  readonly selector?: string;
  readonly ignoreNotFound?: boolean;
}

interface Target {
  readonly resource: ApiResource;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** Requests on the way at a time. */
const inFlight = 16;

export function registerDelete(program: Command): void {
  const command = program
    .command('delete')
    .summary('delete objects')
    .description(
      'Deletes objects by type and name, by labels, or those that files hold (in the reverse of their order). What is missing is an error, unless --ignore-not-found.',
    )
    .argument('[type]', 'resource type, or TYPE/NAME')
    .argument('[names...]', 'names')
    .option('-f, --filename <path...>', 'the objects of files, directories, or - for standard input')
    .option('-R, --recursive', 'look into subdirectories too')
    .option('--all', 'every object of the type in the namespace')
    .option('-l, --selector <labels>', 'objects with these labels')
    .option('--ignore-not-found', 'what is not there counts as deleted');
  addWaitFlags(command);
  addCareFlags(command);
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria delete virtualservice reviews
  ostria delete vs/reviews dr/reviews
  ostria delete -f networking/
  ostria delete virtualservices --all
  ostria delete vs/reviews --wait --timeout 30s
  ostria delete vs/reviews --canary 10% --max-error-rate 1%

With --wait it ends with 8 if a proxy has not answered in time (it is named, with what it lacks), and with 9 if one refuses what is left.
With --canary some proxies do without the objects first; where that does not go well nothing is deleted, and it ends with 10.`,
    )
    .action(runDelete);
}

async function runDelete(type: string | undefined, names: string[], flags: DeleteFlags): Promise<void> {
  const { client, access, namespace } = connect(flags);
  try {
    const { errors, canary } = careOf(flags);
    if (errors && canary.length === 0)
      throw new CodedError(
        'UsageInvalid',
        '--max-error-rate of a deletion needs --canary: what is deleted is not brought back',
      );
    const careful = { ...flags, wait: flags.wait || canary.length > 0 };
    const wait = await prepareWait({ client, access }, careful, namespace);
    const resources = await discover(client);
    const targets = flags.filename
      ? targetsOfFiles(resources, flags, namespace)
      : await targetsOfNames(client, resources, type, names, flags, namespace);
    const removed = canary.length > 0 ? await objectsOf(client, targets) : [];
    const tried =
      removed.length > 0
        ? await tryRemoval({ client, access }, removed, {
            ...{ namespace, shares: canary, errors },
            timeoutMs: durationOf('--timeout', flags.timeout),
          })
        : undefined;
    if (tried?.ok === false) {
      process.exitCode = tried.code;
      return;
    }
    let written = false;
    for (let at = 0; at < targets.length; at += inFlight)
      for (const { say, deleted } of await Promise.all(
        targets
          .slice(at, at + inFlight)
          .map((target) => deleteOne(client, target, flags.ignoreNotFound ?? false)),
      )) {
        say();
        written ||= deleted;
      }
    await tried?.end();
    const waited = (await wait?.(written)) ?? exitCodes.ok;
    if (waited !== exitCodes.ok)
      process.exitCode = Math.max(Number(process.exitCode ?? exitCodes.ok), waited);
  } finally {
    client.close();
  }
}

/** What is there of them. */
async function objectsOf(client: ApiClient, targets: readonly Target[]): Promise<ConfigObject[]> {
  const found = await pooled(targets, inFlight, ({ resource, namespace, name }) =>
    readOrNone(client, resourcePath(resource, namespace, name)),
  );
  return found.filter((object) => object !== undefined);
}

function targetsOfFiles(resources: readonly ApiResource[], flags: DeleteFlags, namespace: string): Target[] {
  const { objects, problems } = collectObjects(flags.filename ?? [], { recursive: flags.recursive ?? false });
  if (problems.length > 0)
    throw new CodedError('MeshFileInvalid', `${problems.map(formatProblem).join('\n')}\nnothing was deleted`);
  // What came last may need what came first: the other way round from apply.
  return objects.toReversed().map(({ object, positions }) => {
    const resource = resourceOfObject(resources, object);
    if (resource)
      return {
        resource,
        namespace: resource.namespaced ? object.metadata.namespace || namespace : undefined,
        name: object.metadata.name,
      };
    const message = `the API server has no kind ${object.kind} of ${object.apiVersion}`;
    throw new CodedError('MeshFileInvalid', formatProblem({ ...positions.at('kind'), code: '', message }));
  });
}

async function targetsOfNames(
  client: ApiClient,
  resources: readonly ApiResource[],
  type: string | undefined,
  names: readonly string[],
  flags: DeleteFlags,
  namespace: string,
): Promise<Target[]> {
  if (type === undefined)
    throw new CodedError('UsageInvalid', 'delete what? Give a type and names, or -f FILE');
  const inScope = (resource: ApiResource) => (resource.namespaced ? namespace : undefined);
  if (type.includes('/'))
    return [type, ...names].map((pair) => {
      const [typeName = '', name = ''] = pair.split('/');
      const resource = resourceOfName(resources, typeName);
      if (name === '') throw new CodedError('UsageInvalid', `${pair} is not TYPE/NAME`);
      return { resource, namespace: inScope(resource), name };
    });
  const resource = resourceOfName(resources, type);
  if (names.length > 0) return names.map((name) => ({ resource, namespace: inScope(resource), name }));
  if (!flags.all && !flags.selector)
    throw new CodedError('UsageInvalid', `delete which ${resource.plural}? Give names, -l LABELS or --all`);
  const query = flags.selector ? `?labelSelector=${encodeURIComponent(flags.selector)}` : '';
  const list = await client.get<{ items: { metadata: { name: string } }[] }>(
    `${resourcePath(resource, inScope(resource))}${query}`,
  );
  return list.items.map(({ metadata }) => ({ resource, namespace: inScope(resource), name: metadata.name }));
}

/** Resolves with what says how it went. */
async function deleteOne(
  client: ApiClient,
  { resource, namespace, name }: Target,
  ignoreNotFound: boolean,
): Promise<{ readonly say: () => void; readonly deleted: boolean }> {
  const label = `${resource.singular}${resource.group === '' ? '' : `.${resource.group}`} "${name}"`;
  try {
    await client.request({ method: 'DELETE', path: resourcePath(resource, namespace, name) });
    return { say: () => void process.stdout.write(`${label} deleted\n`), deleted: true };
  } catch (error) {
    if (isNotFound(error) && ignoreNotFound) return { say: () => {}, deleted: false };
    const say = () => {
      process.stderr.write(`${err.red('error')}: ${label}: ${messageOf(error)}\n`);
      process.exitCode = Math.max(Number(process.exitCode ?? exitCodes.ok), exitCodeOf(error));
    };
    return { say, deleted: false };
  }
}
