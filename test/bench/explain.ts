// What `ostria explain` costs: `node test/bench/explain.ts [--services 1000] [--runs 5]`. Prints JSON.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { explain } from '../../src/explain/explain.ts';
import { createModel } from '../../src/model/model.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { cpuMs, median, option } from './measure.ts';
import { networkingYaml, serviceYaml } from './mesh-yaml.ts';

const services = option('services', 1000);
const runs = option('runs', 5);
const servicesPerFile = 50;

/** A service with five pods; every fifth with routes, subsets and a policy, as in the mesh of the budgets. */
function partYaml(index: number): string {
  const name = `svc-${index}`;
  const pod = `metadata: {labels: {app: ${name}, version: v1}}, spec: {serviceAccountName: ${name}, containers: [{name: app, image: app}]}`;
  return [
    serviceYaml(name),
    `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\nspec: {replicas: 5, selector: {matchLabels: {app: ${name}}}, template: {${pod}}}\n`,
    ...(index % 5 === 0 ? networkingYaml(name, `svc-${(index + 1) % services}`) : []),
  ].join('---\n');
}

function write(directory: string): string[] {
  const texts: string[] = [];
  for (let first = 0; first < services; first += servicesPerFile) {
    const count = Math.min(servicesPerFile, services - first);
    const text = Array.from({ length: count }, (_, index) => partYaml(first + index)).join('---\n');
    writeFileSync(join(directory, `services-${String(first).padStart(6, '0')}.yaml`), text);
    texts.push(text);
  }
  return texts;
}

/** The command as a user starts it, Node's own start and the reading of the files included. */
function cold(directory: string): { wallMs: number; cpuMs: number } {
  const walls: number[] = [];
  const cpus: number[] = [];
  const cli = join(import.meta.dirname, '..', '..', 'bin', 'ostria.mjs');
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    const text = execFileSync(
      'sh',
      [
        ...['-c', '"$@" > /dev/null; times', 'sh', process.execPath, cli],
        ...['explain', '--from', 'svc-1', 'http://svc-0:9080/a', '-f', directory],
      ],
      { encoding: 'utf8' },
    );
    walls.push(performance.now() - start);
    // The second line of `times` is of the children: user and system.
    const [user = 0, system = 0] = [...(text.trim().split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
      ([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1_000,
    );
    cpus.push(user + system);
  }
  return { wallMs: Math.round(median(walls)), cpuMs: Math.round(median(cpus)) };
}

/** A model that was asked before: by the same caller about other services, and about the same again. */
function warm(texts: readonly string[]) {
  const objects = texts.flatMap((text, index) => parseYamlDocuments(text, `${index}.yaml`).objects);
  const start = cpuMs();
  const model = createModel(objects, { roots: roots.collections });
  const ask = (from: number, to: number): number => {
    const begin = performance.now();
    const answer = explain(model, {
      from: `svc-${from % services}`,
      url: `http://svc-${to % services}:9080/`,
    });
    if (!answer.ok) throw new Error(answer.error.message);
    return performance.now() - begin;
  };
  ask(1, 0);
  const firstCpuMs = Math.round(cpuMs() - start);
  const times = Array.from({ length: 100 }, (_, index) => ask(1, 2 + index));
  const callers = Array.from({ length: 20 }, (_, index) => ask(200 + index, 2 + index));
  return {
    modelAndFirstCpuMs: firstCpuMs,
    otherServiceMs: { median: Math.round(median(times)), max: Math.round(Math.max(...times)) },
    otherCallerMs: { median: Math.round(median(callers)), max: Math.round(Math.max(...callers)) },
    residentMiB: Math.round(process.memoryUsage().rss / 1024 / 1024),
  };
}

const directory = mkdtempSync(join(tmpdir(), 'ostria-bench-explain-'));
try {
  const texts = write(directory);
  console.log(JSON.stringify({ bench: 'explain', services, cold: cold(directory), warm: warm(texts) }));
} finally {
  rmSync(directory, { recursive: true });
}
