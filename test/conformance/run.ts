// `npm run test:conformance [-- --group G] [-- --json FILE]`: what others recorded of their meshes, asked of ours.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { captureNode } from '../../scripts/tasks/task.ts';
import { pooled } from '../../src/kit/pooled.ts';
import { type ConformanceGroup, type GroupResult, summarise } from './group.ts';

const root = join(import.meta.dirname, '..', '..');

/** What `--json` writes. */
interface Report {
  readonly groups: Readonly<Record<string, GroupResult>>;
}

/** Every group, with the file that runs it; the longest first, so that none that begins last keeps one core waiting for another. */
const groups: Readonly<Record<string, () => Promise<ConformanceGroup>>> = {
  'gateway-api': async () => {
    const { runGatewayApiCases } = await import('./gateway-api.ts');
    const { runConversionCases } = await import('./gateway-api/conversion.ts');
    return async (folder) => [...runConversionCases(folder), ...(await runGatewayApiCases(folder))];
  },
  samples: async () => (await import('./samples.ts')).runSamples,
  analyze: async () => (await import('./analyze.ts')).runAnalyzeCases,
  authz: async () => (await import('./authz.ts')).runAuthzCases,
  routing: async () => {
    const { runRoutingCases } = await import('./routing.ts');
    const { runHostClusters } = await import('./host-clusters.ts');
    const { runTrafficCases } = await import('./traffic.ts');
    return async (folder) => [
      ...runRoutingCases(folder),
      ...runHostClusters(folder),
      ...(await runTrafficCases(folder)),
    ];
  },
  authn: async () => (await import('./authn.ts')).runAuthnCases,
  validate: async () => (await import('./validate.ts')).runValidate,
  scalars: async () => (await import('./scalars.ts')).runScalars,
};

/** Processes of groups that run at once. */
const atOnce = 2;

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function print(name: string, result: GroupResult): void {
  const total = result.passed + result.failed + result.skipped;
  const rate = total === 0 ? 100 : (100 * result.passed) / total;
  console.log(
    `${name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped (${rate.toFixed(1)} % of ${total})`,
  );
  for (const { name: failure, why } of result.failures) console.log(`  failed  ${failure}: ${why}`);
  for (const [why, count] of Object.entries(result.skips)) console.log(`  skipped ${count}: ${why}`);
}

/** Every group in a process of its own; what each prints comes as a whole. */
async function runAll(): Promise<Report['groups']> {
  const scratch = mkdtempSync(join(tmpdir(), 'ostria-conformance-'));
  try {
    const results = await pooled(Object.keys(groups), atOnce, async (name) => {
      const report = join(scratch, `${name}.json`);
      const { stdout, stderr } = await captureNode(root, 'test/conformance/run.ts', [
        ...['--group', name, '--json', report],
      ]);
      process.stdout.write(stdout);
      process.stderr.write(stderr);
      return existsSync(report)
        ? (JSON.parse(readFileSync(report, 'utf8')) as Report).groups
        : brokenGroup(name);
    });
    return Object.assign({}, ...results);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A group whose process did not come so far as its report. */
function brokenGroup(name: string): Report['groups'] {
  const failure = { name, why: 'it ended without a report' };
  return { [name]: { passed: 0, failed: 1, skipped: 0, failures: [failure], skips: {} } };
}

async function runGroup(name: string, folder: string): Promise<Report['groups']> {
  const load = groups[name];
  if (!load) fail(`no group is named ${name}; there are ${Object.keys(groups).join(', ')}`);
  const result = summarise(await (await load())(folder));
  print(name, result);
  return { [name]: result };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { group: { type: 'string' }, json: { type: 'string' } } });
  const folder = process.env.OSTRIA_CONFORMANCE ?? join(root, '..', 'shared', 'conformance');
  let results: Report['groups'] = {};
  if (existsSync(folder)) {
    results = values.group === undefined ? await runAll() : await runGroup(values.group, folder);
  } else {
    const wanted = values.group === undefined ? Object.keys(groups) : [values.group];
    console.log(
      `SKIPPED ${wanted.length} groups (${wanted.join(', ')}): there is no conformance data at ${folder}.`,
    );
    console.log('Set OSTRIA_CONFORMANCE to the folder that holds it.');
  }
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ groups: results } satisfies Report, null, 2)}\n`);
}

await main();
