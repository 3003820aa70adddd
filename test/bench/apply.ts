// `npm run bench:apply [-- --edits 200 --rate 300]`: how long after an edit was acknowledged a request is answered the new way,
// and whether any request failed meanwhile. A mesh of its own, on this machine; prints one JSON document.
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { type HelloMesh, networkingObject, openHelloMesh } from '../support/hello-mesh.ts';
import { startLoad } from '../support/load.ts';

const budgetP50Ms = 100;

const { values } = parseArgs({
  options: {
    edits: { type: 'string', default: '200' },
    /** Requests a second beside the probe, half through the gateway, half through a sidecar. */
    rate: { type: 'string', default: '300' },
  },
});

/** Edits that a request can tell, in turn. Each returns the header value that the new way answers with. */
async function edit(mesh: HelloMesh, number: number): Promise<void> {
  const set = { headers: { response: { set: { 'x-edit': String(number) } } } };
  const subset = `v${(number % 2) + 1}`;
  const suffix = number % 10 === 0 ? `-${number}` : '';
  const destinations = [
    [{ destination: { host: 'helloworld' } }],
    [{ destination: { host: 'helloworld', subset: `${subset}${suffix}` } }],
    [
      { destination: { host: 'helloworld', subset: `v1${suffix}` }, weight: 30 },
      { destination: { host: 'helloworld', subset: `v2${suffix}` }, weight: 70 },
    ],
  ];
  const rule = networkingObject('DestinationRule', 'helloworld', {
    host: 'helloworld',
    subsets: ['v1', 'v2'].flatMap((version) => [
      { name: version, labels: { version } },
      ...(suffix ? [{ name: `${version}${suffix}`, labels: { version } }] : []),
    ]),
  });
  const route = networkingObject('VirtualService', 'helloworld', {
    hosts: ['*'],
    gateways: ['helloworld-gateway'],
    http: [
      { match: [{ uri: { exact: '/hello' } }], route: destinations[number % destinations.length], ...set },
    ],
  });
  // Every tenth edit brings the subsets that its route needs.
  await mesh.apply(...(number === 0 || suffix ? [rule, route] : [route]));
}

/** Calls one after the other, each at once after the last; `seen` says when a request was first answered the new way. */
class Probe {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: string;
  #stopped = false;
  readonly seen = new Map<string, number>();
  readonly failures: string[] = [];
  requests = 0;
  readonly #done: Promise<void>;

  constructor(url: string) {
    this.#url = url;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.requests++;
      try {
        const { status, edit } = await this.#call();
        if (status !== 200) this.failures.push(String(status));
        if (!this.seen.has(edit)) this.seen.set(edit, performance.now());
      } catch (error) {
        this.failures.push((error as Error).message);
      }
    }
  }

  #call(): Promise<{ status: number; edit: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(this.#url, { agent: this.#agent, timeout: 5_000 }, (response) => {
        response.resume();
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, edit: String(response.headers['x-edit'] ?? '') }),
        );
        response.on('error', reject);
      });
      sent.on('timeout', () => sent.destroy(new Error('timed out'))).on('error', reject);
      sent.end();
    });
  }

  /** When the edit was first answered; undefined after 10 s without. */
  async answered(edit: string): Promise<number | undefined> {
    for (const end = performance.now() + 10_000; performance.now() < end; ) {
      const at = this.seen.get(edit);
      if (at !== undefined) return at;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return undefined;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#agent.destroy();
  }
}

function quantile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return Math.round(value * 100) / 100;
}

const mesh = await openHelloMesh();
try {
  const edits = Number(values.edits);
  await edit(mesh, 0);
  const probe = new Probe(mesh.ingress);
  await probe.answered('0');
  const loads = [mesh.ingress, mesh.helloFromSleep].map((url) =>
    startLoad(url, { perSecond: Number(values.rate) / 2 }),
  );
  const latencies: number[] = [];
  const writes: number[] = [];
  let unseen = 0;
  for (let number = 1; number <= edits; number++) {
    const start = performance.now();
    await edit(mesh, number);
    const acknowledged = performance.now();
    writes.push(acknowledged - start);
    const at = await probe.answered(String(number));
    if (at === undefined) unseen++;
    else latencies.push(Math.max(0, at - acknowledged));
  }
  const results = await Promise.all(loads.map((load) => load.stop()));
  await probe.stop();
  const failures = [...probe.failures, ...results.flatMap(({ failures: some }) => some)];
  latencies.sort((a, b) => a - b);
  writes.sort((a, b) => a - b);
  const p50 = quantile(latencies, 0.5);
  const ok = failures.length === 0 && unseen === 0 && p50 < budgetP50Ms;
  console.log(
    JSON.stringify(
      {
        bench: 'apply',
        edits,
        requests: probe.requests + results.reduce((sum, { requests }) => sum + requests, 0),
        failures: failures.length,
        failureSamples: [...new Set(failures)].slice(0, 5),
        editsNeverSeen: unseen,
        acknowledgedToAnsweredMs: {
          p50,
          p90: quantile(latencies, 0.9),
          p99: quantile(latencies, 0.99),
          max: quantile(latencies, 1),
        },
        writeMs: { p50: quantile(writes, 0.5), p99: quantile(writes, 0.99) },
        budget: { p50Ms: budgetP50Ms, failures: 0 },
        ok,
      },
      null,
      2,
    ),
  );
  if (!ok) process.exitCode = 1;
} finally {
  await mesh.close();
}
