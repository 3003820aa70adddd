import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from './measure.ts';
import type { LoadAnswer, LoadCommand } from './xds-bench/load-process.ts';
import type { ProbeAnswer } from './xds-bench/loop-probe.ts';
import { cpuSeconds, memoryMiB, round } from './xds-bench/process-usage.ts';
import { type BenchTarget, type EditKind, startControlPlane, startScripted } from './xds-bench/targets.ts';

/**
 * `npm run bench:xds`: what a mesh costs the control plane. It and the load clients are processes of their own; only the
 * control plane's CPU is counted. Prints JSON. Every client is verified to hold a cluster, the endpoints and a virtual host
 * of every service.
 */

const usage = `bench:xds -- [options]
  --services N     services in the mesh (1000)
  --clients N      delta ADS clients (500)
  --endpoints N    endpoints of each service (5)
  --namespaces N   namespaces that services and clients are spread over (1)
  --label-sets N   different label sets among the clients (1)
  --edits N        edits of each kind (5)
  --api            the mesh is written through the configuration API instead of files; times run from the acknowledgement
  --tls            mutual TLS between clients and control plane
  --program FILE   the control plane's program (the bundle, or the sources of a checkout that is not built)
  --scripted       the delivery alone, without configuration and compile
`;

interface Options {
  readonly services: number;
  readonly clients: number;
  readonly endpoints: number;
  readonly namespaces: number;
  readonly labelSets: number;
  readonly edits: number;
  readonly api: boolean;
  readonly tls: boolean;
  readonly program: string | undefined;
  readonly scripted: boolean;
}

function parseOptions(args: string[]): Options {
  const text = { type: 'string' as const };
  const { values } = parseArgs({
    args,
    options: {
      services: text,
      clients: text,
      endpoints: text,
      namespaces: text,
      'label-sets': text,
      edits: text,
      api: { type: 'boolean' },
      tls: { type: 'boolean' },
      program: text,
      scripted: { type: 'boolean' },
    },
  });
  const count = (
    name: 'services' | 'clients' | 'endpoints' | 'namespaces' | 'label-sets' | 'edits',
    by: number,
  ) => {
    const value = Number(values[name] ?? by);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} must be a whole number of 1 or more, not ${values[name]}`);
    return value;
  };
  return {
    services: count('services', 1000),
    clients: count('clients', 500),
    endpoints: count('endpoints', 5),
    namespaces: count('namespaces', 1),
    labelSets: count('label-sets', 1),
    edits: count('edits', 5),
    api: values.api ?? false,
    tls: values.tls ?? false,
    program: values.program,
    scripted: values.scripted ?? false,
  };
}

/** The other end of load-process.ts. */
class Load {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'xds-bench', 'load-process.ts'), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  async send(command: LoadCommand): Promise<LoadAnswer> {
    const answer = this.#next();
    this.#child.send(command);
    return (await answer) as LoadAnswer;
  }

  /** Sends a command that waits for a change, and makes the change once the clients listen. */
  async during(command: LoadCommand, change: () => unknown): Promise<LoadAnswer> {
    const armed = this.#next();
    this.#child.send(command);
    await armed;
    const answer = this.#next();
    const [result] = await Promise.all([answer, change()]);
    return result as LoadAnswer;
  }

  #next(): Promise<object> {
    return new Promise((resolve, reject) => {
      const gone = (code: number | null): void => reject(new Error(`the load process ended with ${code}`));
      this.#child.once('exit', gone);
      this.#child.once('message', (message: object) => {
        this.#child.off('exit', gone);
        const { error } = message as { error?: string };
        if (error) reject(new Error(error));
        else resolve(message);
      });
    });
  }

  stop(): void {
    this.#child.removeAllListeners('exit');
    this.#child.kill('SIGKILL');
  }
}

interface Bench {
  readonly load: Load;
  readonly target: BenchTarget;
}

const wallNow = (): number => performance.timeOrigin + performance.now();

async function firstSync({ load, target }: Bench, options: Options) {
  await target.probe();
  const cpuBefore = cpuSeconds(target.pid);
  const answer = await load.send({
    kind: 'connect',
    url: target.url,
    hosts: target.hosts,
    identities: target.identities,
    timeoutMs: 300_000,
    clients: Array.from({ length: options.clients }, (_, i) => clientNode(i, options)),
  });
  const quiet = await load.send({ kind: 'quiet', ms: 300, timeoutMs: 30_000 });
  return {
    cpuSeconds: round(cpuSeconds(target.pid) - cpuBefore, 3),
    wallSeconds: round((Math.max(answer.lastAt, quiet.lastAt) - answer.firstAt) / 1000, 3),
    bytesPerClient: Math.round((answer.bytes + quiet.bytes) / options.clients),
    responsesPerClient: round((answer.responses + quiet.responses) / options.clients, 2),
    heldPerClient: answer.held,
    loop: loopFigures([await target.probe()]),
    memoryMiB: memoryMiB(target.pid),
  };
}

function clientNode(i: number, options: Options) {
  const namespace = `ns-${i % options.namespaces}`;
  const address = `10.200.${(i >> 8) & 255}.${i & 255}`;
  return {
    id: `sidecar~${address}~client-${i}.${namespace}~${namespace}.svc.cluster.local`,
    namespace,
    metadata: {
      NAMESPACE: namespace,
      CLUSTER_ID: 'Kubernetes',
      ISTIO_VERSION: '1.31.0',
      LABELS: { app: `app-${i % options.labelSets}`, version: 'v1' },
    },
  };
}

interface EditFigures {
  readonly cpuSeconds: number;
  readonly bytesPerClient: number;
  readonly firstClientMs: number;
  readonly lastClientMs: number;
  readonly loop: ProbeAnswer;
}

/**
 * CPU is counted until all is quiet again; times run to the acknowledgement of the clients, from the write of the file or from the
 * API's answer: below 0 for a client that was faster.
 */
async function oneEdit(bench: Bench, kind: EditKind, options: Options): Promise<EditFigures> {
  const { load, target } = bench;
  await target.probe();
  const cpuBefore = cpuSeconds(target.pid);
  let writtenAt = 0;
  const plan = target.plan(kind);
  const answer = await load.during(
    { kind: 'expect', text: plan.text, types: plan.types, timeoutMs: 60_000 },
    async () => {
      writtenAt = wallNow();
      const made = plan.make();
      if (made instanceof Promise) await made.then(() => (writtenAt = wallNow()));
    },
  );
  const quiet = await load.send({ kind: 'quiet', ms: 200, timeoutMs: 30_000 });
  return {
    cpuSeconds: cpuSeconds(target.pid) - cpuBefore,
    bytesPerClient: (answer.bytes + quiet.bytes) / options.clients,
    firstClientMs: answer.firstAt - writtenAt,
    lastClientMs: answer.lastAt - writtenAt,
    loop: await target.probe(),
  };
}

/** In the control plane's own process: how long its loop stood still, and how much of that was its own work. */
function loopFigures(answers: readonly ProbeAnswer[]) {
  const most = (of: (answer: ProbeAnswer) => number): number => round(Math.max(...answers.map(of)), 1);
  return {
    longestSliceMs: most(({ longestSliceMs }) => longestSliceMs),
    longestBlockMs: most(({ longestBlockMs }) => longestBlockMs),
    longestGcMs: most(({ longestGcMs }) => longestGcMs),
  };
}

async function edits(bench: Bench, kind: EditKind, options: Options) {
  const figures: EditFigures[] = [];
  for (let i = 0; i < options.edits; i++) figures.push(await oneEdit(bench, kind, options));
  const of = (key: Exclude<keyof EditFigures, 'loop'>): number[] => figures.map((figure) => figure[key]);
  return {
    edits: figures.length,
    cpuSeconds: round(median(of('cpuSeconds')), 4),
    bytesPerClient: round(median(of('bytesPerClient')), 0),
    firstClientMs: round(median(of('firstClientMs')), 1),
    lastClientMs: round(median(of('lastClientMs')), 1),
    firstToLastMs: round(median(figures.map((figure) => figure.lastClientMs - figure.firstClientMs)), 1),
    loop: loopFigures(figures.map(({ loop }) => loop)),
  };
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    return;
  }
  const options = parseOptions(process.argv.slice(2));
  const root = join(import.meta.dirname, '..', '..');
  const target = options.scripted
    ? await startScripted(options)
    : await startControlPlane(root, options, options);
  const load = new Load();
  const bench: Bench = { load, target };
  try {
    const started = { cpuSeconds: round(cpuSeconds(target.pid), 3), memoryMiB: memoryMiB(target.pid) };
    const result = {
      benchmark: 'xds',
      options,
      machine: { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version },
      started,
      firstSync: await firstSync(bench, options),
      virtualServiceEdit: await edits(bench, 'virtualServiceEdit', options),
      endpointMove: await edits(bench, 'endpointMove', options),
      newService: await edits(bench, 'newService', options),
      meshSetting: await edits(bench, 'meshSetting', options),
      memoryMiB: { ...memoryMiB(target.pid), ...(await target.probe()).memory },
    };
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  } finally {
    load.stop();
    await target.stop();
  }
}

await main();
