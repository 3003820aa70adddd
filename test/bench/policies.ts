import { createServer } from 'node:http';
import { cpus, loadavg } from 'node:os';
import { hasProgram } from '../../scripts/tasks/test-machine.ts';
import { freePorts } from '../support/ports.ts';
import { saturate, stopLoad } from './data-path-bench/load.ts';
import { startVariant, type Variant } from './data-path-bench/variants.ts';
import { median, option } from './measure.ts';
import { cpuSeconds, round } from './xds-bench/process-usage.ts';

/**
 * `npm run bench:policies`: what 1, 10 and 200 AuthorizationPolicies add to the CPU that the called sidecar's Envoy spends on a request. The
 * policies are compiled as ever; the one that lets the client in is tried last. All variants stand at the same time and take turns.
 * Prints JSON.
 */

const counts = [0, 1, 10, 200] as const;

/** ALLOW policies of two callers, two methods and two paths each; only the last is for the client. */
function policies(count: number): string {
  return Array.from({ length: count }, (_, i) => {
    const last = i === count - 1;
    const name = `allow-${String(i).padStart(3, '0')}`;
    const callers = last
      ? '"*"'
      : `cluster.local/ns/default/sa/caller-${i}, cluster.local/ns/default/sa/other-${i}`;
    const paths = last ? '"/last/*", "/*"' : `"/area-${i}/*", "/other-${i}/*"`;
    return `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  rules:
  - from: [{source: {principals: [${callers}]}}]
    to: [{operation: {methods: [GET, HEAD], paths: [${paths}]}}]`;
  }).join('');
}

async function bench(
  rounds: number,
  seconds: number,
  stops: (() => Promise<void> | void)[],
): Promise<unknown> {
  const [port = 0] = await freePorts(1);
  const app = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => app.listen(port, '127.0.0.1', resolve));
  stops.push(() => {
    app.closeAllConnections();
    app.close();
  });
  const variants: (readonly [number, Variant])[] = [];
  for (const count of counts) {
    const plan = { patch: {}, http: 2, objects: policies(count) } as const;
    const variant = await startVariant(`${count} policies`, plan, port, 0);
    stops.unshift(() => variant.stop());
    await saturate(variant.url, 16, 1);
    variants.push([count, variant]);
  }
  const spent = new Map<number, number[]>(counts.map((count) => [count, []]));
  for (let turn = 0; turn < rounds; turn++) {
    process.stderr.write(`round ${turn + 1} of ${rounds}\n`);
    for (const [count, { url, envoys }] of turn % 2 === 0 ? variants : variants.toReversed()) {
      const { pid } = envoys[1].id;
      const before = cpuSeconds(pid);
      const { requests } = await saturate(url, 16, seconds);
      spent.get(count)?.push(((cpuSeconds(pid) - before) / requests) * 1e6);
    }
  }
  const of = (count: number) => spent.get(count) ?? [];
  return {
    benchmark: 'policies',
    options: { rounds, seconds },
    machine: {
      cpu: cpus()[0]?.model ?? '',
      cores: cpus().length,
      loadAverage: loadavg().map((value) => round(value, 1)),
    },
    serverCpuMicrosecondsPerRequest: Object.fromEntries(
      counts.map((count) => [count, round(median(of(count)), 1)]),
    ),
    // Of pairs taken in the same round: what else the machine does then weighs on both.
    addedMicroseconds: Object.fromEntries(
      counts.slice(1).map((count) => {
        const added = of(count).map((value, i) => round(value - (of(0)[i] ?? 0), 1));
        return [count, { median: median(added), perRound: added }];
      }),
    ),
  };
}

async function main(): Promise<void> {
  if (!hasProgram('wrk')) {
    process.stderr.write('skipped: bench:policies: wrk is absent (as root: apt-get install wrk)\n');
    process.stdout.write(`${JSON.stringify({ benchmark: 'policies', skipped: 'wrk is absent' })}\n`);
    return;
  }
  const stops: (() => Promise<void> | void)[] = [];
  process.once('SIGINT', stopLoad);
  process.once('SIGTERM', stopLoad);
  try {
    const result = await bench(option('rounds', 5), option('seconds', 2), stops);
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  } finally {
    for (const stop of stops) await stop();
  }
}

await main();
