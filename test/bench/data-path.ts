import { cpus, loadavg } from 'node:os';
import { hasProgram } from '../../scripts/tasks/test-machine.ts';
import { freePorts } from '../support/ports.ts';
import { countInstructions } from './data-path-bench/instructions.ts';
import { type LoadFigures, paced, saturate, stopLoad } from './data-path-bench/load.ts';
import { type FastServer, startNginx } from './data-path-bench/nginx.ts';
import { type Options, parseOptions, usage } from './data-path-bench/options.ts';
import { childrenOf, pinTo } from './data-path-bench/pin.ts';
import { budget, budgetVerdict, comparison, type Sample, summary } from './data-path-bench/report.ts';
import { startVariant, type Variant, variantPlans } from './data-path-bench/variants.ts';
import { cpuSeconds, memoryMiB, round } from './xds-bench/process-usage.ts';

/**
 * `npm run bench:data-path`: what two sidecars cost a request, as we configure them and as Istio does, against the same server called
 * directly. All variants stand at the same time and take turns. Prints JSON; docs/guides/benchmarks.md explains it.
 */

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

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function loadsOf({ concurrency, seconds, rate }: Options): Load[] {
  const saturations = concurrency.map((connections) => ({
    name: `concurrency${connections}`,
    run: (url: string) => saturate(url, connections, seconds),
  }));
  if (hasProgram('h2load'))
    return [...saturations, { name: 'paced', run: (url) => paced(url, rate, seconds) }];
  process.stderr.write(
    'skipped: the paced load: h2load is absent (as root: apt-get install nghttp2-client)\n',
  );
  return saturations;
}

/** Each request crosses from one core to the other four times, whichever variant carries it. */
function pin(server: FastServer, variants: readonly Variant[]): void {
  for (const pid of [server.pid, ...childrenOf(server.pid)]) pinTo(0, pid);
  for (const { envoys } of variants) for (const [core, { id }] of envoys.entries()) pinTo(core, id.pid);
  // Load generators inherit it.
  pinTo(1, process.pid);
}

async function startVariants(
  { variants }: Options,
  ports: { readonly app: number; readonly collector: number },
  stops: (() => Promise<void>)[],
): Promise<Variant[]> {
  const started: Variant[] = [];
  for (const name of variants) {
    const variant = await startVariant(name, variantPlans[name], ports.app, ports.collector);
    stops.unshift(() => variant.stop());
    started.push(variant);
  }
  return started;
}

async function bench(options: Options, nginx: string, stops: (() => Promise<void>)[]): Promise<unknown> {
  const [app = 0, collector = 0] = await freePorts(2);
  const server = await startNginx(nginx, app, collector);
  stops.unshift(() => server.stop());
  if (options.instructions !== undefined) {
    const { variants, concurrency, instructions: requests } = options;
    const connections = Math.max(...concurrency);
    const ports = { appPort: app, collectorPort: collector };
    const perRequest = await countInstructions({ variants, connections, requests, ...ports });
    return { benchmark: 'data-path', options, instructionsPerRequest: perRequest };
  }
  const variants = await startVariants(options, { app, collector }, stops);
  if (options.pin) pin(server, variants);
  const targets: Target[] = [{ name: 'direct', url: `http://127.0.0.1:${app}/`, envoys: [] }, ...variants];
  const loads = loadsOf(options);
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
    cpuBudget: {
      atMost: budget,
      ...Object.fromEntries(loads.map(({ name }) => [name, budgetVerdict(samples, name)])),
    },
    ...Object.fromEntries(
      loads.map(({ name }) => [
        name,
        {
          ...summary(samples, name),
          ...(samples.has('ours') ? { oursOver: comparison(samples, name) } : {}),
        },
      ]),
    ),
    envoyMemoryMiB: Object.fromEntries(
      variants.map(({ name, envoys }) => [name, envoys.map(({ id }) => memoryMiB(id.pid).resident)]),
    ),
  };
}

/** What must be there: a program, and the Debian package that brings it. */
function neededPrograms({ instructions, pin: pins }: Options): (readonly [string, string])[] {
  const generator =
    instructions === undefined ? (['wrk', 'wrk'] as const) : (['h2load', 'nghttp2-client'] as const);
  return [
    ['nginx', 'nginx-light'],
    generator,
    ...(instructions === undefined ? [] : [['valgrind', 'valgrind'] as const]),
    ...(pins ? [['taskset', 'util-linux'] as const] : []),
  ];
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    return;
  }
  const options = parseOptions(process.argv.slice(2));
  for (const [program, name] of neededPrograms(options))
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
