// `npm run test:conformance [-- --group G] [-- --json FILE]`: what others recorded of their meshes, asked of ours.
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type ConformanceGroup, type GroupResult, summarise } from './group.ts';

/** Every group, with the file that runs it. */
const groups: Readonly<Record<string, () => Promise<ConformanceGroup>>> = {
  validate: async () => (await import('./validate.ts')).runValidate,
  scalars: async () => (await import('./scalars.ts')).runScalars,
  analyze: async () => (await import('./analyze.ts')).runAnalyzeCases,
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
  'gateway-api': async () => {
    const { runGatewayApiCases } = await import('./gateway-api.ts');
    const { runConversionCases } = await import('./gateway-api/conversion.ts');
    return async (folder) => [...runConversionCases(folder), ...(await runGatewayApiCases(folder))];
  },
  authz: async () => (await import('./authz.ts')).runAuthzCases,
  samples: async () => (await import('./samples.ts')).runSamples,
};

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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { group: { type: 'string' }, json: { type: 'string' } } });
  const folder =
    process.env.OSTRIA_CONFORMANCE ?? fileURLToPath(new URL('../../../shared/conformance', import.meta.url));
  const wanted = values.group === undefined ? Object.keys(groups) : [values.group];
  for (const name of wanted)
    if (!groups[name]) fail(`no group is named ${name}; there are ${Object.keys(groups).join(', ')}`);
  const results: Record<string, GroupResult> = {};
  if (!existsSync(folder)) {
    console.log(
      `SKIPPED ${wanted.length} groups (${wanted.join(', ')}): there is no conformance data at ${folder}.`,
    );
    console.log('Set OSTRIA_CONFORMANCE to the folder that holds it.');
  } else {
    for (const name of wanted) {
      const run = await groups[name]?.();
      if (!run) continue;
      const result = summarise(await run(folder));
      results[name] = result;
      print(name, result);
    }
  }
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ groups: results }, null, 2)}\n`);
}

await main();
