import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import configuration from '../../.dependency-cruiser.mjs';
import { cruise, judge } from './import-rules.ts';

const root = join(import.meta.dirname, '..', '..');

/** For each rule imports ([from, to]) that break it and no other. No file imports in two of them. */
const broken: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'order-kit-gen': [['src/kit/a1.ts', 'src/config/b1.ts']],
  'order-config': [['src/config/a2.ts', 'src/registry/b2.ts']],
  'order-registry': [['src/registry/a3.ts', 'src/snapshot/b3.ts']],
  'order-snapshot': [['src/snapshot/a4.ts', 'src/plan/b4.ts']],
  'order-plan': [['src/plan/a5.ts', 'src/envoy/b5.ts']],
  'order-envoy-grpc': [['src/envoy/a6.ts', 'src/features/traffic/fault/schema.ts']],
  'order-features': [['src/features/traffic/fault/a7.ts', 'src/pipeline/b7.ts']],
  'order-pipeline': [['src/pipeline/a8.ts', 'src/simulate/b8.ts']],
  'order-simulate': [['src/simulate/a9.ts', 'src/analyze/b9.ts']],
  'order-model': [['src/model/a22.ts', 'src/explain/b22.ts']],
  'order-explain': [['src/explain/a23.ts', 'src/analyze/b23.ts']],
  'order-request-space': [['src/request-space/a24.ts', 'src/impact/b24.ts']],
  'order-impact-prove': [['src/impact/a25.ts', 'src/assertions/b25.ts']],
  'order-assertions': [['src/assertions/a26.ts', 'src/observe/b26.ts']],
  'order-observe': [['src/observe/a27.ts', 'src/analyze/b27.ts']],
  'order-control-plane-cli': [['src/cli/a28.ts', 'src/testing/b28.ts']],
  'order-editor': [['src/editor/a23.ts', 'src/agent/b23.ts']],
  'order-analyze': [['src/analyze/a10.ts', 'src/xds/b10.ts']],
  'order-ca-xds-injection-sdk-agent': [['src/xds/a11.ts', 'src/control-plane/b11.ts']],
  'folder-has-a-place': [['src/elsewhere/a29.ts', 'src/kit/b29.ts']],
  'envoy-and-grpc-apart': [['src/envoy/a12.ts', 'src/grpc/b12.ts']],
  'pure-reaches-no-node': [
    ['src/plan/a13.ts', 'src/kit/b13.ts'],
    ['src/kit/b13.ts', 'node:fs'],
  ],
  'edges-without-the-compile': [['src/agent/a14.ts', 'src/plan/b14.ts']],
  'agent-sees-ca-client-only': [['src/agent/a15.ts', 'src/ca/authority.ts']],
  'feature-sees-sibling-schema-only': [
    ['src/features/traffic/cors/plan.ts', 'src/features/traffic/mirror/plan.ts'],
  ],
  'samples-import-nothing-of-ours': [['samples/hello/a17.ts', 'src/kit/b17.ts']],
  'product-without-tests-or-tools': [['src/cli/a18.ts', 'test/support/b18.ts']],
  'no-cycles': [
    ['src/kit/a19.ts', 'src/kit/b19.ts'],
    ['src/kit/b19.ts', 'src/kit/a19.ts'],
  ],
  'http-through-kit': [['src/kit/a22.ts', 'node:http']],
  'no-unresolvable': [['src/kit/a20.ts', 'src/kit/absent.ts']],
  'no-development-dependencies': [['src/cli/a21.ts', 'vitest']],
};

const allowed: readonly (readonly [string, string])[] = [
  ['src/features/traffic/fault/plan.ts', 'src/features/traffic/mirror/schema.ts'],
  ['src/agent/a.ts', 'src/ca/client.ts'],
  ['src/cli/a.ts', 'src/kit/b.ts'],
  ['src/agent/c.ts', 'node:fs'],
];

type Edge = readonly [string, string];

/** Makes all the files in one tree, has it cruised once, and returns the names of the rules that each file breaks. */
async function cruiseFixture(
  edges: readonly Edge[],
  missing: readonly string[],
): Promise<Map<string, Set<string>>> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-imports-'));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), text);
  };
  try {
    write('package.json', JSON.stringify({ type: 'module', devDependencies: { vitest: '*' } }));
    write('node_modules/vitest/package.json', '{"name":"vitest","main":"index.js"}');
    write('node_modules/vitest/index.js', '');
    const imports = new Map<string, string[]>();
    for (const [from, to] of edges) {
      imports.set(from, [...(imports.get(from) ?? []), to]);
      if (to.includes('/') && !imports.has(to) && !missing.includes(to)) imports.set(to, []);
    }
    for (const [file, targets] of imports) {
      const up = '../'.repeat(file.split('/').length - 1);
      const lines = targets.map((to, index) => {
        const specifier = to.includes('/') ? `${up}${to}` : to;
        return `import * as m${index} from '${specifier}';\nconsole.log(m${index});\n`;
      });
      write(file, `${lines.join('')}export const value = 1;\n`);
    }
    const broken = new Map<string, Set<string>>();
    const { summary } = await cruise(root, ['src', 'samples'], directory);
    for (const { from, rule } of summary.violations)
      broken.set(from, (broken.get(from) ?? new Set()).add(rule.name));
    return broken;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

let found: Map<string, Set<string>>;

beforeAll(async () => {
  const missing = broken['no-unresolvable']?.map(([, to]) => to) ?? [];
  found = await cruiseFixture([...Object.values(broken).flat(), ...allowed], missing);
});

function violationsOf(edges: readonly Edge[]): string[] {
  return [...new Set(edges.flatMap(([from]) => [...(found.get(from) ?? [])]))];
}

test('there is a fixture for every rule', () => {
  const rules = (configuration.forbidden ?? []).map(({ name }) => name);
  expect(Object.keys(broken).sort()).toEqual(rules.toSorted());
});

test.each(Object.entries(broken))('%s fails where it is broken', (rule, edges) => {
  expect(violationsOf(edges)).toEqual([rule]);
});

test('what the tree allows passes', () => {
  expect(violationsOf(allowed)).toEqual([]);
});

test('a run that reads too few modules is no proof', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-imports-'));
  try {
    mkdirSync(join(directory, 'src'));
    writeFileSync(join(directory, 'src', 'lonely.ts'), 'export const value = 1;\n');
    expect(judge(await cruise(root, ['src'], directory))).toMatchObject({ ok: false });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
