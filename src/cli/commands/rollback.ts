import type { Command } from 'commander';
import type { ConfigObject } from '../../config/object.ts';
import { splitKey } from '../../config/object.ts';
import type { ObjectPair } from '../../control-plane/history/history-entry.ts';
import { CodedError } from '../../kit/coded-error.ts';
import {
  type ApiResource,
  discover,
  resourceOfName,
  resourceOfObject,
  resourcePath,
} from '../api/discovery.ts';
import { displayName } from '../apply/apply-objects.ts';
import { addWaitFlags, prepareWait, type WaitFlags } from '../apply/wait/wait-for-writes.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { pairTitle, unifiedDiff } from '../history/object-diff.ts';
import { differenceBetween } from '../history/objects-at.ts';
import { formatTime, parseWhen } from '../history/parse-when.ts';
import { out } from '../output/style.ts';
import { type Restore, restoreObjects } from '../rollback/restore-objects.ts';
import { tellRestored } from '../rollback/tell-restored.ts';

interface RollbackFlags extends ConnectionFlags, WaitFlags {
  readonly dryRun?: boolean;
}

export function registerRollback(program: Command): void {
  const command = program
    .command('rollback')
    .summary('bring objects back to what they were')
    .description(
      'Brings configuration back to what it was at a time or a revision of ostria history: what was changed is restored, what was deleted is created, what was created is deleted. Without names, every object of Istio and the Gateway API that differs; what describes workloads (WorkloadEntries, Services, Pods …) only where it is named. Secrets cannot be brought back: their values are not kept.',
    )
    .argument('<when>', '14:00, 2026-11-27T14:00, 10m (ago), or a revision: the state after it')
    .argument('[objects...]', 'TYPE/NAME, or types')
    .option('--dry-run', 'show what would change, and change nothing');
  addWaitFlags(command);
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria rollback 41
  ostria rollback 14:00 --dry-run
  ostria rollback 41 --wait
  ostria rollback 10m virtualservice/reviews destinationrule/reviews

Ends with 1 if something was left as it is, such as what comes from files of --config. With --wait it ends with 8 if a proxy has not answered in
time (it is named, with what it lacks), and with 9 if one refuses what was there before.`,
    )
    .action(runRollback);
}

async function runRollback(when: string, names: string[], flags: RollbackFlags): Promise<void> {
  const { client, access, namespace } = connect(flags);
  try {
    const wait = await prepareWait({ client, access }, flags, namespace);
    const resources = await discover(client);
    const fits = filterOf(resources, names, namespace, flags);
    const { from, objects } = await differenceBetween(client, parseWhen(when), { at: Date.now() });
    // What was deleted and created again is another object that says the same.
    const pairs = objects.filter((pair) => fits(pair) && unifiedDiff(pair, noLabels, out) !== '');
    const label = `revision ${from.revision} (${formatTime(from.at)})`;
    if (pairs.length === 0) {
      process.stdout.write(`Nothing differs from ${label}.\n`);
      return;
    }
    if (flags.dryRun) {
      const labels = { before: '(now)', after: `(${label})` };
      const texts = pairs.map((pair) => unifiedDiff(reversed(pair), labels, out));
      process.stdout.write(texts.filter((text) => text !== '').join('\n'));
      return;
    }
    process.stderr.write(out.dim(`Back to ${label}\n`));
    const { items, left } = restoresOf(pairs, resources);
    const restored = await restoreObjects(client, items);
    const ok = tellRestored([...restored, ...left]);
    const waited =
      (await wait?.(restored.some(({ outcome }) => outcome !== 'unchanged' && outcome !== 'left'))) ??
      exitCodes.ok;
    if (!ok || waited !== exitCodes.ok)
      process.exitCode = waited === exitCodes.ok ? exitCodes.failure : waited;
  } finally {
    client.close();
  }
}

const noLabels = { before: '', after: '' };

function reversed({ kind, key, before, after }: ObjectPair): ObjectPair {
  return { kind, key, ...(after ? { before: after } : {}), ...(before ? { after: before } : {}) };
}

/** What rollback means where nothing is named: configuration, not what says who is there. */
function isConfiguration(kind: string): boolean {
  const [group = '', name = ''] = kind.split('/');
  if (name === 'WorkloadEntry') return false;
  return group.endsWith('.istio.io') || group === 'gateway.networking.k8s.io';
}

function filterOf(
  resources: readonly ApiResource[],
  names: readonly string[],
  namespace: string,
  flags: RollbackFlags,
): (pair: ObjectPair) => boolean {
  const inNamespace = (key: string): boolean =>
    flags.namespace === undefined || splitKey(key).namespace === flags.namespace;
  if (names.length === 0) return ({ kind, key }) => isConfiguration(kind) && inNamespace(key);
  const wanted = names.map((text) => {
    const [type = '', name] = text.split('/');
    const resource = resourceOfName(resources, type);
    if (resource.group === '' && resource.kind === 'Secret')
      throw new CodedError('UsageInvalid', 'a Secret cannot be brought back: its values are not kept');
    const key = name === undefined ? undefined : `${resource.namespaced ? namespace : ''}/${name}`;
    return { kind: `${resource.group}/${resource.kind}`, key };
  });
  return (pair) =>
    wanted.some(({ kind, key }) =>
      kind === pair.kind && key === undefined
        ? inNamespace(pair.key)
        : kind === pair.kind && key === pair.key,
    );
}

function restoresOf(
  pairs: readonly ObjectPair[],
  resources: readonly ApiResource[],
): { items: Restore[]; left: { name: string; outcome: 'left'; why: string; revision: number }[] } {
  const items: Restore[] = [];
  const left = [];
  for (const pair of pairs) {
    const object = (pair.after ?? pair.before) as ConfigObject;
    const resource = resourceOfObject(resources, object);
    if (!resource) {
      left.push({
        name: pairTitle(pair),
        outcome: 'left' as const,
        why: 'the API server no longer has its kind',
        revision: 0,
      });
      continue;
    }
    const { namespace, name } = splitKey(pair.key);
    items.push({
      name: displayName(resource, object),
      path: resourcePath(resource, resource.namespaced ? namespace : undefined, name),
      wanted: pair.before,
      expected: pair.after,
    });
  }
  return { items, left };
}
