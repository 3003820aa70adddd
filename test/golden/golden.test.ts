import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Call } from '../../src/simulate/call.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import {
  type Compiled,
  compileCase,
  envoyText,
  type GoldenCase,
  goldenCases,
  planText,
} from './golden-case.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const writing = process.env.OSTRIA_GOLDEN === 'write';
const known = new Set(['in.yaml', 'plan.yaml', 'envoy.yaml', 'calls.yaml']);
const cases = goldenCases(root);

if (writing) {
  const alive = new Set(cases.map((golden) => golden.directory));
  for (const file of globSync('src/features/*/*/testdata/*/*', { cwd: root }))
    if (!alive.has(dirname(join(root, file))) || !known.has(basename(file))) rmSync(join(root, file));
}

function compare(golden: GoldenCase, file: string, text: string): void {
  const path = join(golden.directory, file);
  if (writing) writeFileSync(path, text);
  expect(existsSync(path), `${path} is missing: npm run golden:write`).toBe(true);
  expect(text, `${path} differs: if that is meant, npm run golden:write`).toBe(readFileSync(path, 'utf8'));
}

/** Deterministic, so that a failure can be repeated. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  let state = seed;
  for (let i = result.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

function versions(compiled: ReadonlyMap<string, Compiled>): string[] {
  return [...compiled].flatMap(([proxy, { resources }]) =>
    [...resources].flatMap(([type, byName]) =>
      [...byName.values()].map((resource) => `${proxy} ${type} ${resource.name} ${resource.version}`),
    ),
  );
}

test('there are goldens for every feature that shapes or decorates', () => {
  const covered = new Set(cases.map((golden) => golden.name.split(':')[0]));
  const folders = globSync('src/features/*/*/feature.ts', { cwd: root }).map((file) =>
    file.split('/').slice(2, 4).join('/'),
  );
  expect(folders.length).toBeGreaterThan(10);
  expect(folders.filter((folder) => !covered.has(folder))).toEqual([]);
});

test('no file lies beside the goldens without a case', () => {
  const alive = new Set(cases.map((golden) => golden.directory));
  const strays = globSync('src/features/*/*/testdata/*/*', { cwd: root }).filter(
    (file) => !alive.has(dirname(join(root, file))) || !known.has(basename(file)),
  );
  expect(strays).toEqual([]);
});

describe.each(cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
  test('plan and Envoy resources', () => {
    const compiled = compileCase(golden);
    compare(golden, 'plan.yaml', planText(golden, compiled));
    compare(golden, 'envoy.yaml', envoyText(golden, compiled));
  });

  test('the order of the input does not matter', () => {
    const expected = versions(compileCase(golden));
    expect(expected.length).toBeGreaterThan(0);
    for (const seed of [1, 2, 3])
      expect(versions(compileCase(golden, shuffled(golden.objects, seed)))).toEqual(expected);
  });

  test('no domain occurs twice in a route configuration', () => {
    for (const [proxy, { plans }] of compileCase(golden)) {
      const seen = new Set<string>();
      let routes = '';
      for (const { type, node } of plans) {
        const plan = node as { name?: string; domains?: string[]; inlineHosts?: { domains: string[] }[] };
        if (type === 'route-configuration') routes = plan.name ?? '';
        for (const domain of [
          ...(plan.domains ?? []),
          ...(plan.inlineHosts ?? []).flatMap((h) => h.domains),
        ]) {
          expect(seen.has(`${routes} ${domain}`), `${proxy}: ${domain} in ${routes}`).toBe(false);
          seen.add(`${routes} ${domain}`);
        }
      }
    }
  });

  const callsFile = join(golden.directory, 'calls.yaml');
  if (existsSync(callsFile))
    test('calls', () => {
      const compiled = compileCase(golden);
      const calls = parse(readFileSync(callsFile, 'utf8')) as {
        proxy: string;
        call: Partial<Call>;
        expect: Record<string, unknown>;
      }[];
      for (const { proxy, call, expect: expected } of calls) {
        const resources = compiled.get(proxy)?.resources;
        if (!resources) throw new Error(`${callsFile}: no proxy is named ${proxy}`);
        const full: Call = {
          address: '10.1.0.1',
          port: 80,
          mode: 'outbound',
          protocol: 'http',
          tls: 'plaintext',
          ...call,
        };
        expect(simulate(resources, full), JSON.stringify(call)).toMatchObject(expected);
      }
    });
});
