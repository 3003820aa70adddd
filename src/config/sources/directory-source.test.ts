import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fc } from '../../../test/support/properties.ts';
import type { ConfigObject } from '../object.ts';
import { DirectorySource, type DirectorySourceOptions } from './directory-source.ts';
import type { ConfigBatch } from './source.ts';
import { formatProblem, type SourceProblem } from './source-problem.ts';

/** Patient, because the machine may be busy. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, 30_000);

let directory: string;
let abort: AbortController;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-directory-'));
  abort = new AbortController();
});

afterEach(() => {
  abort.abort();
  rmSync(directory, { recursive: true, force: true });
});

const config = (name: string, value = '1', namespace?: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n${namespace ? `  namespace: ${namespace}\n` : ''}data:\n  x: "${value}"\n`;

function write(path: string, text: string): void {
  writeFileSync(join(directory, path), text);
}

function open(options: Partial<DirectorySourceOptions> = {}, signal = abort.signal) {
  const batches: ConfigBatch[] = [];
  const reports: (readonly SourceProblem[])[] = [];
  const admitted: string[] = [];
  const source = new DirectorySource({
    directory,
    debounceMs: 20,
    namespaced: (_group, kind) => kind !== 'Namespace',
    admit: (object) => {
      admitted.push(object.metadata.name);
      const bad = (object.data as { x?: string } | undefined)?.x === 'bad';
      return {
        object,
        issues: bad
          ? [{ path: 'data.x', severity: 'error', code: 'FieldValueInvalid', message: 'must not be bad' }]
          : [],
      };
    },
    onProblem: (problems) => reports.push(problems),
    ...options,
  });
  const started = source.start((batch) => batches.push(batch), signal);
  return { source, batches, reports, admitted, started };
}

function summary(batch: ConfigBatch | undefined) {
  return batch?.changes.map(
    (c) => `${c.object ? '+' : '-'}${c.kind} ${c.key}${c.object ? ` ${data(c.object)}` : ''}`,
  );
}

function data(object: ConfigObject): string {
  return (object.data as { x: string } | undefined)?.x ?? '';
}

describe('reading', () => {
  test('files of all kinds, below each other, as one batch', async () => {
    mkdirSync(join(directory, 'a/b'), { recursive: true });
    write('a/b/one.yaml', `${config('one')}---\n${config('two', '2', 'other')}`);
    write('three.yml', config('three'));
    write(
      'four.json',
      JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'four', namespace: 'x' } }),
    );
    write('notes.txt', 'not: [configuration');
    write('.hidden.yaml', 'not: [configuration');
    symlinkSync('..', join(directory, 'a/b/loop'));
    const { batches, started, reports } = open();
    await started;
    expect(reports).toEqual([]);
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject({ initial: true, revision: 1 });
    expect(summary(batches[0])).toEqual([
      '+ConfigMap default/one 1',
      '+ConfigMap default/three 1',
      '+ConfigMap other/two 2',
      '+Namespace /four ',
    ]);
    expect(batches[0]?.changes[2]?.positions?.at('data.x')).toEqual({
      file: join(directory, 'a/b/one.yaml'),
      line: 14,
      column: 3,
    });
  });

  test('an empty directory is an empty set', async () => {
    const { batches, started } = open();
    await started;
    expect(batches).toEqual([{ revision: 1, initial: true, changes: [] }]);
  });

  test('10,000 objects load, and one edit checks one object', async () => {
    const all = (changed: string) =>
      Array.from({ length: 10_000 }, (_, i) => config(`c${i}`, i === 5000 ? changed : '1')).join('---\n');
    write('all.yaml', all('1'));
    const { batches, started, admitted } = open();
    await started;
    expect(batches[0]?.changes).toHaveLength(10_000);
    expect(admitted).toHaveLength(10_000);
    write('all.yaml', all('2'));
    await eventually(() => expect(batches).toHaveLength(2));
    expect(summary(batches[1])).toEqual(['+ConfigMap default/c5000 2']);
    expect(admitted.slice(10_000)).toEqual(['c5000']);
  });
});

describe('following', () => {
  test('changes, additions, deletions, renames, new directories', async () => {
    write('a.yaml', `${config('a')}---\n${config('b')}`);
    const { batches, started } = open();
    await started;
    write('a.yaml', `${config('a', '2')}---\n${config('b')}`);
    await eventually(() => expect(summary(batches[1])).toEqual(['+ConfigMap default/a 2']));
    mkdirSync(join(directory, 'deep'));
    write('deep/c.yaml', config('c'));
    await eventually(() => expect(summary(batches[2])).toEqual(['+ConfigMap default/c 1']));
    write('deep/c.yaml', config('d'));
    await eventually(() =>
      expect(summary(batches[3])).toEqual(['-ConfigMap default/c', '+ConfigMap default/d 1']),
    );
    rmSync(join(directory, 'a.yaml'));
    await eventually(() =>
      expect(summary(batches[4])).toEqual(['-ConfigMap default/a', '-ConfigMap default/b']),
    );
    expect(batches.map((b) => [b.revision, b.initial])).toEqual([1, 2, 3, 4, 5].map((n) => [n, n === 1]));
  });

  test('moved lines and renamed files send nothing, and positions follow', async () => {
    write('a.yaml', `${config('a')}---\n${config('b')}`);
    const { batches, started, source } = open();
    await started;
    const positions = batches[0]?.changes[1]?.positions;
    expect(positions?.at('kind')?.line).toBe(9);
    write('a.yaml', `# a\n# comment\n${config('a')}---\n${config('b')}`);
    await source.rescan();
    expect(positions?.at('kind')?.line).toBe(11);
    renameSync(join(directory, 'a.yaml'), join(directory, 'z.yaml'));
    await source.rescan();
    expect(positions?.at('kind')).toEqual({ file: join(directory, 'z.yaml'), line: 11, column: 1 });
    expect(batches).toHaveLength(1);
  });

  test('a mounted ConfigMap is swapped as one', async () => {
    const publish = (version: string, files: Record<string, string>) => {
      mkdirSync(join(directory, `..${version}`));
      for (const [name, text] of Object.entries(files)) write(`..${version}/${name}`, text);
      symlinkSync(`..${version}`, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    publish('v1', { 'a.yaml': config('a'), 'b.yaml': config('b') });
    for (const name of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${name}`, join(directory, name));
    const { batches, started } = open();
    await started;
    expect(summary(batches[0])).toEqual(['+ConfigMap default/a 1', '+ConfigMap default/b 1']);
    publish('v2', { 'a.yaml': config('a', '2'), 'b.yaml': config('b', '2') });
    rmSync(join(directory, '..v1'), { recursive: true });
    await eventually(() =>
      expect(summary(batches[1])).toEqual(['+ConfigMap default/a 2', '+ConfigMap default/b 2']),
    );
  });

  test('a change that no event told of is found by the rescan', async () => {
    write('a.yaml', config('a'));
    const { batches, started } = open({ rescanMs: 100 });
    await started;
    // A link into a file system whose events nobody watches: the outer link's directory is not on the way.
    const outside = mkdtempSync(join(tmpdir(), 'ostria-outside-'));
    try {
      mkdirSync(join(outside, 'v1'));
      mkdirSync(join(outside, 'v2'));
      writeFileSync(join(outside, 'v1/b.yaml'), config('b'));
      writeFileSync(join(outside, 'v2/b.yaml'), config('b', '2'));
      symlinkSync('v1', join(outside, 'now'));
      symlinkSync(join(outside, 'now/b.yaml'), join(directory, 'b.yaml'));
      await eventually(() => expect(summary(batches[1])).toEqual(['+ConfigMap default/b 1']));
      symlinkSync('v2', join(outside, 'next'));
      renameSync(join(outside, 'next'), join(outside, 'now'));
      await eventually(() => expect(summary(batches[2])).toEqual(['+ConfigMap default/b 2']));
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  test('a directory that was removed and made again is watched again', async () => {
    mkdirSync(join(directory, 'sub'));
    write('sub/a.yaml', config('a'));
    const { batches, started } = open();
    await started;
    rmSync(join(directory, 'sub'), { recursive: true });
    mkdirSync(join(directory, 'sub'));
    await eventually(() => expect(summary(batches[1])).toEqual(['-ConfigMap default/a']));
    write('sub/a.yaml', config('a', '2'));
    await eventually(() => expect(summary(batches[2])).toEqual(['+ConfigMap default/a 2']));
  });

  test('whatever is done to the files, what was delivered is the last good state as a whole', async () => {
    const stepArbitrary = fc.record({
      file: fc.constantFrom('a.yaml', 'b.yaml', 'sub/c.yaml'),
      objects: fc.option(
        fc.array(fc.tuple(fc.constantFrom('one', 'two', 'three'), fc.constantFrom('1', '2', 'bad')), {
          maxLength: 3,
        }),
      ),
      broken: fc.nat(9).map((n) => n === 0),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 12 }), async (steps) => {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(join(directory, 'sub'), { recursive: true });
        const stop = new AbortController();
        const { batches, source, started } = open({ debounceMs: 1 }, stop.signal);
        await started;
        const files = new Map<string, { text: string; objects: [string, string][]; broken: boolean }>();
        let good: Record<string, string> = {};
        for (const { file, objects, broken } of steps) {
          if (objects === null) {
            rmSync(join(directory, file), { force: true });
            files.delete(file);
          } else {
            const text =
              objects.map(([name, value]) => config(name, value)).join('---\n') + (broken ? '---\n[' : '');
            write(file, text);
            files.set(file, { text, objects, broken });
          }
          await source.rescan();
          const all = [...files.values()].flatMap((f) => f.objects);
          const names = new Set(all.map(([name]) => name));
          const bad =
            names.size < all.length ||
            all.some(([, v]) => v === 'bad') ||
            [...files.values()].some((f) => f.broken);
          if (!bad) good = Object.fromEntries(all);
          expect(source.problems().length > 0, source.problems().map(formatProblem).join('\n')).toBe(bad);
          const mirror: Record<string, string> = {};
          for (const { key, object } of batches.flatMap((batch) => batch.changes)) {
            const name = key.slice('default/'.length);
            if (object) mirror[name] = data(object);
            else delete mirror[name];
          }
          expect(mirror).toEqual(good);
        }
        stop.abort();
      }),
      { numRuns: 40 },
    );
  });

  test('nothing is delivered after the signal', async () => {
    write('a.yaml', config('a'));
    const { batches, started, source } = open();
    await started;
    abort.abort();
    write('b.yaml', config('b'));
    await source.rescan();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(batches).toHaveLength(1);
  });
});

describe('what is wrong', () => {
  test('a broken file keeps the whole last good set and names the place; mending it reports so', async () => {
    write('a.yaml', config('a'));
    write('b.yaml', config('b'));
    const { batches, started, source, reports } = open();
    await started;
    write('a.yaml', config('a', '2'));
    write('b.yaml', `${config('b')}  y: [1\n`);
    await eventually(() => expect(reports).toHaveLength(1));
    expect(batches).toHaveLength(1);
    const [problem] = source.problems();
    expect(problem && formatProblem(problem)).toMatch(/b\.yaml:\d+:\d+: error: not valid YAML: .*; check/);
    write('b.yaml', config('b', '2'));
    await eventually(() => expect(reports).toHaveLength(2));
    expect(source.problems()).toEqual([]);
    expect(summary(batches[1])).toEqual(['+ConfigMap default/a 2', '+ConfigMap default/b 2']);
  });

  test('a refused object holds the set back, with the place of the field', async () => {
    write('a.yaml', config('a'));
    const { batches, started, source } = open();
    await started;
    write('a.yaml', `${config('new')}---\n${config('a', 'bad')}`);
    await source.rescan();
    expect(source.problems()).toEqual([
      {
        severity: 'error',
        code: 'FieldValueInvalid',
        message: 'must not be bad',
        object: 'ConfigMap default/a',
        path: 'data.x',
        file: join(directory, 'a.yaml'),
        line: 13,
        column: 3,
      },
    ]);
    expect(batches).toHaveLength(1);
  });

  test('an object in two places is reported with both', async () => {
    write('a.yaml', config('a'));
    write('b.yaml', `${config('b')}---\n${config('a', '2', 'default')}`);
    const { source, reports } = open();
    await eventually(() => expect(reports).toHaveLength(1));
    const [problem] = source.problems();
    expect(problem).toMatchObject({ code: 'DuplicateObject', file: join(directory, 'b.yaml'), line: 11 });
    expect(problem?.message).toContain(`${join(directory, 'a.yaml')}:4:3`);
  });

  test('with an error at the start nothing is delivered until it is mended', async () => {
    write('a.yaml', 'a: [');
    const { batches, started, reports } = open();
    let delivered = false;
    void started.then(() => {
      delivered = true;
    });
    await eventually(() => expect(reports).toHaveLength(1));
    expect([delivered, batches.length]).toEqual([false, 0]);
    write('a.yaml', config('a'));
    await started;
    expect(summary(batches[0])).toEqual(['+ConfigMap default/a 1']);
  });

  test('a directory that is not there keeps the last good set', async () => {
    write('a.yaml', config('a'));
    const { batches, started, source } = open({ rescanMs: 50 });
    await started;
    renameSync(directory, `${directory}.away`);
    await eventually(() =>
      expect(source.problems()[0]).toMatchObject({ code: 'FileUnreadable', file: directory }),
    );
    expect(batches).toHaveLength(1);
    renameSync(`${directory}.away`, directory);
    await eventually(() => expect(source.problems()).toEqual([]));
  });

  test('limits, generated names, dangling links', async () => {
    write('a.yaml', config('a'));
    write('b.yaml', config('b'));
    write('large.yaml', `# ${'x'.repeat(300)}\n`);
    write('generated.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: g-\n');
    symlinkSync('nothing', join(directory, 'dangling.yaml'));
    const { reports } = open({ limits: { bytes: 200, objects: 1 } });
    await eventually(() => expect(reports).toHaveLength(1));
    expect(reports[0]?.map((p) => p.code).sort()).toEqual([
      'FieldValueForbidden',
      'FileUnreadable',
      'TooManyObjects',
      'YamlTooLarge',
    ]);
  });
});
