// `npm run bench:apply-many [-- --objects 10000]`: `ostria apply` of one file with thousands of new VirtualServices into a running
// mesh of five Envoys: until the API has acknowledged the last, and until every Envoy has taken all. Prints one JSON document.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ProxyStatus } from '../../src/xds/ledger.ts';
import { openHelloMesh } from '../support/hello-mesh.ts';
import { cpuSeconds, memoryMiB, round } from './xds-bench/process-usage.ts';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '10000' },
    /** Gives up after this many seconds. */
    timeout: { type: 'string', default: '900' },
  },
});

function manyVirtualServices(count: number): string {
  const documents = Array.from(
    { length: count },
    (_, i) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: many-${i}, namespace: default}
spec:
  hosts: [many-${i}.example.com]
  http:
  - timeout: 3s
    route: [{destination: {host: helloworld}}]
`,
  );
  return documents.join('---\n');
}

const mesh = await openHelloMesh();
try {
  const count = Number(values.objects);
  const file = join(mesh.ostria.home, 'many.yaml');
  writeFileSync(file, manyVirtualServices(count));
  const status = await mesh.ostria.status();
  const { state } = status.controlPlane;
  const controlPlane = state.state === 'running' ? state.pid : 0;
  const envoys = status.instances.map(({ name }) => {
    const note = readFileSync(mesh.state('workloads', name, 'envoy-process.json'), 'utf8');
    return (JSON.parse(note) as { pid: number }).pid;
  });
  const envoyCpu = (): number => envoys.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const pushes = async (): Promise<number> => {
    const metrics = await fetch(`http://127.0.0.1:${status.ports.monitoring}/metrics`);
    const match = /event="pushes",detail="VirtualHost"\} (\d+)/.exec(await metrics.text());
    return Number(match?.[1] ?? 0);
  };
  const before = { control: cpuSeconds(controlPlane), envoys: envoyCpu(), pushes: await pushes() };
  const start = performance.now();
  const { code, stderr } = await mesh.ostria.run(['apply', '-f', file]);
  if (code !== 0) throw new Error(`ostria apply ended with ${code}: ${stderr.slice(-2_000)}`);
  const acknowledged = performance.now();
  const until = acknowledged + Number(values.timeout) * 1_000;
  for (let done = false; !done && performance.now() < until; )
    ({ done } = await mesh.client.get<{ done: boolean }>('/debug/wait?timeout=20000'));
  const held = performance.now();
  const proxies = await mesh.client.get<ProxyStatus[]>('/debug/syncz');
  const hosts = proxies.map(
    ({ types }) => types.find(({ typeUrl }) => typeUrl.endsWith('.VirtualHost'))?.held,
  );
  console.log(
    JSON.stringify(
      {
        bench: 'apply-many',
        objects: count,
        acknowledgedSeconds: round((acknowledged - start) / 1000, 2),
        thenHeldByAllSeconds: round((held - acknowledged) / 1000, 2),
        virtualHostsHeld: hosts,
        virtualHostResponses: (await pushes()) - before.pushes,
        controlPlane: {
          cpuSeconds: round(cpuSeconds(controlPlane) - before.control, 2),
          memoryMiB: memoryMiB(controlPlane),
        },
        envoys: { count: envoys.length, cpuSeconds: round(envoyCpu() - before.envoys, 2) },
      },
      undefined,
      2,
    ),
  );
} finally {
  await mesh.close();
}
