import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi, type WatchLine } from '../../../test/support/api-server.ts';
import { fc } from '../../../test/support/properties.ts';

/*
 * Writers and watchers run at the same time against the API. The revisions that the answers carry put all successful writes
 * in one order; replayed in that order, a simple model must agree with every answer, every list and every watcher.
 */

let api: TestApi;
let round = 0;
beforeAll(async () => {
  api = await startTestApi({ limits: { bookmarkMs: 50 } });
});
afterAll(() => api.close());

type Action =
  | { type: 'create'; name: string; team: string; value: number }
  | { type: 'replace'; name: string; team: string; value: number }
  | { type: 'patch'; name: string; team: string; value: number }
  | { type: 'apply'; name: string; team: string; value: number }
  | { type: 'delete'; name: string }
  | { type: 'list'; team: string };

const name = fc.constantFrom('a', 'b', 'c');
const team = fc.constantFrom('red', 'blue');
const value = fc.integer({ min: 0, max: 99 });
const action = (type: 'create' | 'replace' | 'patch' | 'apply') =>
  fc.record({ type: fc.constant(type), name, team, value });
const actions: fc.Arbitrary<Action> = fc.oneof(
  action('create'),
  action('replace'),
  action('patch'),
  action('apply'),
  fc.record({ type: fc.constant('delete' as const), name }),
  fc.record({ type: fc.constant('list' as const), team }),
);

interface State {
  revision: number;
  uid: string;
  team: string;
  value: string;
}

interface Done {
  action: Action;
  status: number;
  reason: string;
  /** Revisions of the store before the request left and after the answer came. */
  from: number;
  to: number;
  /** Of the object that the request was about, when it succeeded. */
  state?: State;
  /** The revision that a replace was based on. */
  base?: number;
  items?: State[];
}

interface StoredMap {
  metadata: { name: string; uid: string; resourceVersion: string; labels?: { team?: string } };
  data?: { value?: string };
}

function stateOf(object: StoredMap): State {
  return {
    revision: Number(object.metadata.resourceVersion),
    uid: object.metadata.uid,
    team: object.metadata.labels?.team ?? '',
    value: object.data?.value ?? '',
  };
}

async function run(path: string, one: Action): Promise<Done> {
  const from = await api.store.revision();
  const { answer, base } = await send(path, one);
  const to = await api.store.revision();
  const done: Done = {
    action: one,
    status: answer.status,
    reason: String(answer.json.reason ?? ''),
    from,
    to,
  };
  if (base !== undefined) done.base = base;
  if (one.type === 'list') {
    done.items = (answer.json.items as StoredMap[]).map(stateOf);
    done.from = done.to = Number(answer.json.metadata.resourceVersion);
  } else if (answer.status < 300 && one.type !== 'delete')
    done.state = stateOf(answer.json as unknown as StoredMap);
  return done;
}

async function send(path: string, one: Action) {
  if (one.type === 'list')
    return { answer: await api.call('GET', `${path}?labelSelector=team%3D${one.team}`) };
  if (one.type === 'delete') return { answer: await api.call('DELETE', `${path}/${one.name}`) };
  const body = { metadata: { labels: { team: one.team } }, data: { value: String(one.value) } };
  switch (one.type) {
    case 'create':
      return {
        answer: await api.call('POST', path, {
          body: { ...body, metadata: { ...body.metadata, name: one.name } },
        }),
      };
    case 'patch':
      return {
        answer: await api.call('PATCH', `${path}/${one.name}`, {
          body,
          type: 'application/merge-patch+json',
        }),
      };
    case 'apply':
      return {
        answer: await api.call('PATCH', `${path}/${one.name}?fieldManager=m&force=true`, {
          body: { apiVersion: 'v1', kind: 'ConfigMap', ...body },
          type: 'application/apply-patch+yaml',
        }),
      };
    default: {
      const live = await api.call('GET', `${path}/${one.name}`);
      if (live.status !== 200) return { answer: live };
      const next = {
        ...live.json,
        metadata: { ...live.json.metadata, labels: { team: one.team } },
        data: body.data,
      };
      return {
        answer: await api.call('PUT', `${path}/${one.name}`, { body: next }),
        base: Number(live.json.metadata.resourceVersion),
      };
    }
  }
}

/** What every object was at every revision, from the store's own events. */
interface History {
  at(name: string, revision: number): State | undefined;
  all(revision: number): [string, State][];
  changes: { revision: number; name: string; before: State | undefined; after: State | undefined }[];
}

function historyOf(lines: readonly WatchLine[]): History {
  const changes: History['changes'] = [];
  const current = new Map<string, State>();
  for (const line of lines) {
    if (line.type === 'BOOKMARK') continue;
    const object = line.object as StoredMap;
    const before = current.get(object.metadata.name);
    const after = line.type === 'DELETED' ? undefined : stateOf(object);
    expect(line.type).toBe(after === undefined ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED');
    changes.push({
      revision: Number(object.metadata.resourceVersion),
      name: object.metadata.name,
      before,
      after,
    });
    if (after) current.set(object.metadata.name, after);
    else current.delete(object.metadata.name);
  }
  const at = (wanted: string, revision: number) =>
    changes.filter((one) => one.name === wanted && one.revision <= revision).at(-1)?.after;
  return {
    changes,
    at,
    all: (revision) =>
      ['a', 'b', 'c'].flatMap((one) => {
        const state = at(one, revision);
        return state ? [[one, state] as [string, State]] : [];
      }),
  };
}

function checkAnswer(done: Done, history: History): void {
  const { action: one, status } = done;
  const why = JSON.stringify(done);
  if (one.type === 'list') {
    const expected = history
      .all(done.to)
      .map(([, state]) => state)
      .filter((state) => state.team === one.team);
    expect(done.items, why).toEqual(expected);
    return;
  }
  const moments = [
    done.from,
    ...history.changes
      .map((change) => change.revision)
      .filter((revision) => revision > done.from && revision <= done.to),
  ];
  const states = moments.map((revision) => history.at(one.name, revision));
  // A refusal must have been right at some moment between the request and its answer.
  const excuses: Record<string, (state: State | undefined) => boolean> = {
    NotFound: (state) => state === undefined,
    AlreadyExists: (state) => state !== undefined,
    Conflict: (state) => state?.revision !== done.base,
  };
  const excuse = excuses[done.reason];
  if (excuse && status >= 400) {
    expect(states.some(excuse), why).toBe(true);
    return;
  }
  expect(status, why).toBeLessThan(300);
  if (one.type === 'delete') {
    const gone = history.changes.filter((change) => change.name === one.name && !change.after);
    expect(
      gone.some(({ revision }) => revision > done.from && revision <= done.to),
      why,
    ).toBe(true);
    return;
  }
  const { state } = done;
  const change = history.changes.find((each) => each.name === one.name && each.revision === state?.revision);
  expect(change?.after, why).toEqual(state);
  expect(state).toMatchObject({ team: one.team, value: String(one.value) });
  if (one.type === 'create') expect(change?.before, why).toBeUndefined();
  // A replace that changed nothing answers with the revision it was based on.
  if (one.type === 'replace' && state?.revision !== done.base)
    expect(change?.before?.revision, why).toBe(done.base);
}

/** What a watcher of one team must have been told. */
function expectedEvents(history: History, wanted: string): string[] {
  return history.changes.flatMap(({ name: of, before, after, revision }) => {
    const was = before?.team === wanted;
    const is = after?.team === wanted;
    if (is) return [`${was ? 'MODIFIED' : 'ADDED'} ${of} ${revision}`];
    return was ? [`DELETED ${of} ${revision}`] : [];
  });
}

function seen(lines: readonly WatchLine[]): string[] {
  return lines
    .filter((line) => line.type !== 'BOOKMARK')
    .map((line) => `${line.type} ${line.object.metadata.name} ${line.object.metadata.resourceVersion}`);
}

test('property: concurrent writers, listers and watchers agree with a sequential model', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(actions, { minLength: 5, maxLength: 25 }), { minLength: 3, maxLength: 5 }),
      async (writers) => {
        const namespace = `model-${round++}`;
        await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } });
        const path = `/api/v1/namespaces/${namespace}/configmaps`;
        const start = await api.store.revision();
        const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${start}`;
        const everything = api.watch(`${path}?${query}`);
        const red = api.watch(`${path}?${query}&labelSelector=team%3Dred`);
        const answers = (
          await Promise.all(
            writers.map(async (script) => {
              const results: Done[] = [];
              for (const one of script) results.push(await run(path, one));
              return results;
            }),
          )
        ).flat();
        const end = await api.store.revision();
        const reached = (lines: readonly WatchLine[]) =>
          lines.some((line) => Number(line.object.metadata.resourceVersion) >= end);
        await Promise.all([everything.until(reached), red.until(reached)]);
        everything.stop();
        red.stop();
        const history = historyOf(everything.lines);
        const revisions = history.changes.map((change) => change.revision);
        expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
        for (const done of answers) checkAnswer(done, history);
        expect(seen(red.lines)).toEqual(expectedEvents(history, 'red'));
        const final = (await api.call('GET', path)).json.items as StoredMap[];
        expect(final.map(stateOf)).toEqual(history.all(end).map(([, state]) => state));
        // A watcher that comes late is told the same.
        const late = api.watch(`${path}?${query}&labelSelector=team%3Dred`);
        await late.until(reached);
        late.stop();
        expect(seen(late.lines)).toEqual(seen(red.lines));
      },
    ),
    { numRuns: 8 },
  );
});
