import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import type { ExportedHistory } from '../../control-plane/history/export-history.ts';
import { History } from '../../control-plane/history/history.ts';
import type { ObservedChange } from '../../control-plane/history/observed-change.ts';
import { openReportHistory, redactHistory } from './report-history.ts';

let directory: string;
let history: History;
let world: Map<string, ObservedChange>;
let now: number;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-report-history-'));
  world = new Map();
  now = Date.parse('2026-11-27T14:00:00Z');
  history = new History({
    directory: join(directory, 'history'),
    present: () => world.values(),
    warn: (message) => {
      throw new Error(message);
    },
    deletedBy: (id) => (id.endsWith('/web') ? 'kubectl' : undefined),
    now: () => now,
  });
  await history.start();
});
afterEach(async () => {
  await history.close();
  rmSync(directory, { recursive: true, force: true });
});

function write(kind: string, name: string, object: ConfigObject | undefined): void {
  now += 1_000;
  const id = `/${kind} shop/${name}`;
  const previous = world.get(id)?.object;
  const change: ObservedChange = {
    group: '',
    kind,
    key: `shop/${name}`,
    previous,
    ...(object && { object }),
  };
  if (object) world.set(id, change);
  else world.delete(id);
  history.record('store', [change]);
}

const pod = (password: string, phase: string): ConfigObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop' },
  spec: { containers: [{ name: 'web', env: [{ name: 'DB_PASSWORD', value: password }] }] },
  status: { phase },
});

const secret = (value: string): ConfigObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'words', namespace: 'shop' },
  data: { word: Buffer.from(value).toString('base64') },
});

test('a report answers about the past as the control plane did, without what is secret', async () => {
  write('Pod', 'web', pod('hunter-one', 'Pending'));
  write('Secret', 'words', secret('sesame-one'));
  write('Pod', 'web', pod('hunter-two', 'Pending'));
  write('Pod', 'web', pod('hunter-two', 'Running'));
  write('Secret', 'words', secret('sesame-two'));
  write('Pod', 'web', undefined);
  const exported = JSON.parse((await history.export()).toString()) as ExportedHistory;
  expect(JSON.stringify(exported)).toContain('hunter-two');
  const shown = redactHistory(exported);
  for (const value of ['hunter', 'sesame', Buffer.from('sesame-one').toString('base64')])
    expect(JSON.stringify(shown)).not.toContain(value);

  const opened = await openReportHistory(directory, shown);
  const brief = async (past: typeof opened) =>
    (await past.list({})).changes.map(({ revision, action, key, by }) => [revision, action, key, by]);
  expect(await brief(opened)).toEqual(await brief(history));
  expect((await opened.list({})).changes[0]).toMatchObject({ action: 'deleted', by: 'kubectl' });
  const difference = await opened.difference({ revision: 2 }, { revision: 5 });
  expect(difference.from).toEqual({ revision: 2, at: Date.parse('2026-11-27T14:00:02Z') });
  expect(difference.objects.map(({ key }) => key)).toEqual(['shop/web', 'shop/words']);
  expect(difference.objects[1]).toMatchObject({
    before: { data: { word: '[not kept: value 1]' } },
    after: { data: { word: '[not kept: value 2]' } },
  });
  expect(difference.objects[0]).toMatchObject({
    before: { status: { phase: 'Pending' } },
    after: {
      spec: { containers: [{ env: [{ name: 'DB_PASSWORD', value: '[redacted]' }] }] },
      status: { phase: 'Running' },
    },
  });
  const { state } = await opened.objectsAt({ at: now });
  expect([...state.keys()]).toEqual(['/Secret shop/words']);
});
