import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { hasProgram } from '../../scripts/tasks/test-machine.ts';
import { freePorts } from '../support/ports.ts';
import { countInstructions } from './data-path-bench/instructions.ts';
import { type LoadFigures, paced, saturate, stopLoad } from './data-path-bench/load.ts';
import { startNginx } from './data-path-bench/nginx.ts';
import { startVariant, type Variant, type VariantName, variantPlans } from './data-path-bench/variants.ts';
import { median } from './measure.ts';
import { cpuSeconds, memoryMiB, round } from './xds-bench/process-usage.ts';

/**
 * `npm run bench:data-path`: what two sidecars cost a request, as we configure them and with the customary long chain, against the
 * same server called directly. All variants stand at the same time and take turns. Prints JSON; docs/guides/benchmarks.md
 * explains it.
 */

const usual: readonly VariantName[] = [
  'ours',
  'longChainHttp1',
  'longChainHttp2',
  'longChainHttp1FullLabels',
];

const usage = `bench:data-path -- [options]
  --rounds N         turns of each variant; medians are printed (4)
  --seconds N        length of each load, whole seconds (1)
  --concurrency N,M  connections at saturation (1,32)
  --rate N           requests per second of the paced load (800)
  --instructions N   count instructions of N requests over the most connections instead of measuring time
  --variants A,B     of ${variantNames().join(', ')} (${usual.join(',')})
`;

/** The design's budget: our CPU per request over that of the long chain over HTTP/1.1. */
const budget = 0.65;

function variantNames(): VariantName[] {
  return Object.keys(variantPlans) as VariantName[];
}

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly concurrency: readonly number[];
  readonly rate: number;
  readonly instructions?: number;
  readonly variants: readonly VariantName[];
}

function parseOptions(args: string[]): Options {
  const text = { type: 'string' as const };
  const { values } = parseArgs({
    args,
    options: {
      rounds: text,
      seconds: text,
      concurrency: text,
      rate: text,
      instructions: text,
      variants: text,
    },
  });
  const count = (name: string, value: string): number => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`--${name} must be a whole number of 1 or more, not ${value}`);
    return number;
  };
  const wanted = values.variants?.split(',') ?? usual;
  for (const name of wanted)
    if (!variantNames().includes(name as VariantName))
      throw new Error(`--variants: ${name} is none of ${variantNames().join(', ')}`);
  return {
    rounds: count('rounds', values.rounds ?? '4'),
    seconds: count('seconds', values.seconds ?? '1'),
    concurrency: (values.concurrency ?? '1,32').split(',').map((value) => count('concurrency', value)),
    rate: count('rate', values.rate ?? '800'),
    ...(values.instructions === undefined
      ? {}
      : { instructions: count('instructions', values.instructions) }),
    variants: variantNames().filter((name) => wanted.includes(name)),
  };
}

/** One load on one variant. */
interface Sample extends LoadFigures {
  /** Of both Envoys; 0 for direct calls. */
  readonly cpuMicroseconds: number;
}

type Load = { readonly name: string; readonly run: (url: string) => Promise<LoadFigures> };

interface Target {
  readonly name: string;
  readonly url: string;
  readonly envoys: readonly { readonly id: { readonly pid: number } }[];
}

async function measure(target: Target, load: Load): Promise<Sample> {
  const spent = () => target.envoys.reduce((sum, { id }) => sum + cpuSeconds(id.pid), 0);
  const before = spent();
  const figures = await load.run(target.url);
  return { ...figures, cpuMicroseconds: ((spent() - before) / figures.requests) * 1e6 };
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
}

/** Of pairs taken in the same round: what else the machine does then weighs on both. */
function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.flatMap((value, i) => (below[i] ? [round(value / below[i], 3)] : []));
}

function ratio(above: readonly number[], below: readonly number[]): number {
  return round(median(ratios(above, below)), 3);
}

type Samples = ReadonlyMap<string, ReadonlyMap<string, Sample[]>>;

/** One load's figures for every target, and how ours compare. */
function summary(samples: Samples, load: string) {
  const of = (target: string, key: keyof Sample): number[] =>
    (samples.get(target)?.get(load) ?? []).map((sample) => sample[key]);
  const figures = Object.fromEntries(
    [...samples.keys()].map((target) => [
      target,
      {
        perSecond: round(median(of(target, 'perSecond')), 0),
        ...(target === 'direct' ? {} : { cpuMicroseconds: round(median(of(target, 'cpuMicroseconds')), 1) }),
        p50Ms: round(median(of(target, 'p50')), 3),
        p99Ms: round(median(of(target, 'p99')), 3),
      },
    ]),
  );
  const compared = Object.fromEntries(
    [...samples.keys()]
      .filter((target) => target !== 'ours')
      .map((target) => [
        target,
        {
          ...(target === 'direct'
            ? {}
            : { cpu: ratio(of('ours', 'cpuMicroseconds'), of(target, 'cpuMicroseconds')) }),
          p50: ratio(of('ours', 'p50'), of(target, 'p50')),
          p99: ratio(of('ours', 'p99'), of(target, 'p99')),
        },
      ]),
  );
  return samples.has('ours') ? { ...figures, oursOver: compared } : figures;
}

/** Judged load by load. `perRound` shows how much of a figure is the machine's mood. */
function budgetOf(samples: Samples, loads: readonly Load[]) {
  const cpu = (target: VariantName, load: Load): number[] =>
    (samples.get(target)?.get(load.name) ?? []).map((sample) => sample.cpuMicroseconds);
  return Object.fromEntries(
    loads.map((load) => {
      const perRound = ratios(cpu('ours', load), cpu('longChainHttp1', load));
      const overHttp1 = round(median(perRound), 3);
      return [
        load.name,
        {
          overLongChainHttp1: overHttp1,
          perRound,
          quartiles: [0.25, 0.75].map((share) => quantile(perRound, share)),
          // What else runs on the machine only ever adds: the rounds that it disturbed least.
          ofLowerQuartiles: round(
            quantile(cpu('ours', load), 0.25) / quantile(cpu('longChainHttp1', load), 0.25),
            3,
          ),
          // With one connection nothing is saturated: what is measured then is how often Envoy is woken.
          ...(load.name === 'concurrency1' ? {} : { holds: overHttp1 <= budget }),
          overLongChainHttp2: ratio(cpu('ours', load), cpu('longChainHttp2', load)),
          overLongChainHttp1FullLabels: ratio(cpu('ours', load), cpu('longChainHttp1FullLabels', load)),
        },
      ];
    }),
  );
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

async function bench(options: Options, nginx: string, stops: (() => Promise<void>)[]): Promise<unknown> {
  const [port = 0, collector = 0] = await freePorts(2);
  const server = await startNginx(nginx, port, collector);
  stops.unshift(() => server.stop());
  if (options.instructions !== undefined) {
    const { variants, concurrency, instructions: requests } = options;
    const ports = { appPort: port, collectorPort: collector };
    const connections = Math.max(...concurrency);
    const perRequest = await countInstructions({ variants, connections, requests, ...ports });
    return { benchmark: 'data-path', options, instructionsPerRequest: perRequest };
  }
  const variants: Variant[] = [];
  for (const name of options.variants) {
    const variant = await startVariant(name, variantPlans[name], port, collector);
    stops.unshift(() => variant.stop());
    variants.push(variant);
  }
  const targets: Target[] = [{ name: 'direct', url: `http://127.0.0.1:${port}/`, envoys: [] }, ...variants];
  const saturations: Load[] = options.concurrency.map((connections) => ({
    name: `concurrency${connections}`,
    run: (url) => saturate(url, connections, options.seconds),
  }));
  const fixedRate: Load = { name: 'paced', run: (url) => paced(url, options.rate, options.seconds) };
  const loads = hasProgram('h2load') ? [...saturations, fixedRate] : saturations;
  if (loads.length === saturations.length)
    process.stderr.write(
      'skipped: the paced load: h2load is absent (as root: apt-get install nghttp2-client)\n',
    );

  const sent = new Map<string, number>();
  for (const { name, url } of targets) sent.set(name, (await saturate(url, 16, 1)).requests);
  const samples = new Map(
    targets.map(({ name }) => [name, new Map(loads.map((load) => [load.name, [] as Sample[]]))]),
  );
  for (let turn = 0; turn < options.rounds; turn++) {
    process.stderr.write(`round ${turn + 1} of ${options.rounds}\n`);
    // In another order each time: a target that always follows the same neighbour was measured 10 % off.
    for (const load of loads)
      for (const target of shuffled(targets)) {
        const sample = await measure(target, load);
        samples.get(target.name)?.get(load.name)?.push(sample);
        sent.set(target.name, (sent.get(target.name) ?? 0) + sample.requests);
      }
  }
  for (const variant of variants) await variant.verify(sent.get(variant.name) ?? 0);
  return {
    benchmark: 'data-path',
    options,
    machine: {
      cpu: cpus()[0]?.model ?? '',
      cores: cpus().length,
      node: process.version,
      loadAverage: loadavg().map((value) => round(value, 1)),
    },
    cpuBudget: { atMost: budget, ...budgetOf(samples, saturations) },
    ...Object.fromEntries(loads.map((load) => [load.name, summary(samples, load.name)])),
    envoyMemoryMiB: Object.fromEntries(
      variants.map(({ name, envoys }) => [name, envoys.map(({ id }) => memoryMiB(id.pid).resident)]),
    ),
  };
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    return;
  }
  const options = parseOptions(process.argv.slice(2));
  const counts = options.instructions !== undefined;
  for (const [program, name] of [
    ['nginx', 'nginx-light'],
    counts ? ['h2load', 'nghttp2-client'] : ['wrk', 'wrk'],
    ...(counts ? [['valgrind', 'valgrind'] as const] : []),
  ] as const)
    if (!hasProgram(program)) {
      process.stderr.write(
        `skipped: bench:data-path: ${program} is absent (as root: apt-get install ${name})\n`,
      );
      process.stdout.write(
        `${JSON.stringify({ benchmark: 'data-path', skipped: `${program} is absent` })}\n`,
      );
      return;
    }
  const stops: (() => Promise<void>)[] = [];
  let interrupted = false;
  let stopping = Promise.resolve();
  // Called twice when interrupted: the second time for what was starting at the first.
  const stopAll = (): Promise<void> => {
    stopLoad();
    stopping = stopping.then(async () => {
      for (let stop = stops.shift(); stop; stop = stops.shift())
        await stop().catch((error: unknown) => console.error(error));
    });
    return stopping;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      // What runs now fails next, for want of its load generator or its Envoys.
      interrupted = true;
      process.exitCode = 130;
      void stopAll();
    });
  try {
    // Debian's nginx is in sbin, which ordinary users' PATH may lack.
    process.env.PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
    const result = await bench(options, 'nginx', stops);
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  } catch (error) {
    if (!interrupted) throw error;
  } finally {
    await stopAll();
  }
}

await main();
