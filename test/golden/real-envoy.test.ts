import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { type MeshEnvoys, rejectedUpdates, startMeshEnvoys } from '../support/compiled-mesh.ts';
import { FixedSource, withListenersOnLoopback } from '../support/fixed-source.ts';
import { nightly } from '../support/properties.ts';
import { asGolden, fieldCases } from './field-cases.ts';
import { compileCase, goldenCases } from './golden-case.ts';
import { nodeId } from './mesh.ts';

const goldens = goldenCases(fileURLToPath(new URL('../..', import.meta.url)));
/** At night also the small meshes that set what no golden sets, but for those that name files, which are not there. */
const small = nightly ? fieldCases().filter((one) => !JSON.stringify(one.objects).includes('/etc/')) : [];
const cases = [...goldens, ...small.map(asGolden)];

const source = new FixedSource();
let started: Promise<MeshEnvoys> | undefined;

function namesFiles(refusal: string): boolean {
  return /"resources":\["(upstream-)?file-/.test(refusal) && refusal.includes(' /no/such/');
}

afterAll(async () => (await started)?.stop());

describe.each(cases.map((golden) => [golden.name, golden] as const))('%s', (name, golden) => {
  test('real Envoy takes all of it', async () => {
    started ??= startMeshEnvoys(source);
    const mesh = await started;
    for (const [proxyName, { resources }] of compileCase(golden)) {
      const given = golden.proxies[proxyName] ?? {};
      const spec = { ...given, name: `${proxyName}-${name.replace(/\W+/g, '-')}` };
      source.byProxy.set(nodeId(spec), withListenersOnLoopback(resources));
      const envoy = await mesh.envoy(spec, { delta: given.vhds ?? true });
      try {
        const refusals = mesh.refusals.filter((refusal) => refusal.includes(nodeId(spec)));
        // Files that a golden names are not there: what is refused is the secret, and the listeners that use it work.
        expect(refusals.filter((refusal) => !namesFiles(refusal))).toEqual([]);
        expect(await rejectedUpdates(envoy, /^sds\.(upstream-)?file-(cert|root)/)).toBe(0);
        const clusters = (await envoy.admin('/config_dump?resource=dynamic_active_clusters')).body;
        expect(clusters.match(/"version_info"/g)?.length ?? 0).toBe(
          resources.get(typeUrls.cluster)?.size ?? 0,
        );
        const listed = (await envoy.admin('/config_dump?resource=dynamic_listeners')).body;
        expect(listed.match(/"active_state"/g)?.length ?? 0).toBe(
          resources.get(typeUrls.listener)?.size ?? 0,
        );
      } finally {
        await envoy.stop();
      }
    }
  });
});
