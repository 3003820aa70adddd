import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/**
 * A query may depend on nothing but what its view hands out: a result is reused until one of its recorded reads changes. These rules
 * find the usual ways around it; re-running reused results (the engine's `verify`) finds the others.
 */
const pure = ['registry', 'plan', 'envoy', 'grpc', 'features', 'pipeline'];

const rules: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  { name: 'a module-level variable', pattern: /^(export )?(let|var) / },
  {
    name: 'a module-level collection that can change (declare it ReadonlyMap or ReadonlySet)',
    pattern: /^(export )?const \w+ = new (Map|Set|WeakMap|WeakSet)\b/,
  },
  {
    name: 'the clock',
    pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bset(Timeout|Interval|Immediate)\(/,
  },
  { name: 'randomness', pattern: /\bMath\.random\(|\bcrypto\.(randomUUID|getRandomValues)\(/ },
  { name: 'the environment', pattern: /\bprocess\.|\bglobalThis\./ },
  { name: 'a Node module', pattern: /\bfrom 'node:|\bimport\('node:/ },
  { name: 'an asynchronous query', pattern: /\bdefineQuery\([^=]*\basync\b/ },
];

function problems(text: string): string[] {
  return text.split('\n').flatMap((line, at) => {
    const code = line.replace(/\/\/.*$/, '');
    if (/^\s*\/?\*/.test(code)) return [];
    return rules.filter(({ pattern }) => pattern.test(code)).map(({ name }) => `${at + 1}: ${name}`);
  });
}

function sources(folder: string): string[] {
  const root = fileURLToPath(new URL(`../../src/${folder}`, import.meta.url));
  let files: string[];
  try {
    files = readdirSync(root, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.includes('testdata'))
    .map((file) => `${root}/${file}`);
}

test('what makes resources reads nothing but its view', () => {
  const files = pure.flatMap(sources);
  expect(files.length).toBeGreaterThan(60);
  const found = files.flatMap((file) =>
    problems(readFileSync(file, 'utf8')).map(
      (problem) => `${file.slice(file.indexOf('/src/') + 1)}:${problem}`,
    ),
  );
  expect(found).toEqual([]);
});

test('the rules find what they are for', () => {
  const bad = [
    'let count = 0;',
    'export const seen = new Map<string, string>();',
    'const now = Date.now();',
    'const id = Math.random();',
    'const home = process.env.HOME;',
    "import { readFileSync } from 'node:fs';",
    "const q = defineQuery('q', async (view) => view);",
  ];
  expect(bad.map((line) => problems(line).length)).toEqual(bad.map(() => 1));
  const good = [
    'const place: ReadonlyMap<string, number> = new Map([["a", 1]]);',
    '  const seen = new Map<string, string>();',
    '  let count = 0;',
    ' * let nothing depend on Date.now()',
  ];
  expect(good.flatMap(problems)).toEqual([]);
});
