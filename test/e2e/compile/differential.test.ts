import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfigObject } from '../../../src/config/object.ts';
import { drawCase } from '../../support/differential/draw-case.ts';
import { type Differential, startDifferential } from '../../support/differential/harness.ts';
import { shrink } from '../../support/shrink.ts';
import type { TrafficRequest } from '../../support/traffic-arbitrary.ts';

/**
 * Random traffic objects, routes of the Gateway API, policies and tokens, and random requests: what the simulator says of a request is what
 * real Envoys do with it, at the client's side, at a gateway and at the server's. Envoys are kept: a new configuration replaces the last one. A disagreement is made small before it is told.
 */
const requestsPerConfig = 50;
const pairs = Number(process.env.OSTRIA_DIFFERENTIAL_PAIRS ?? (process.env.OSTRIA_NIGHTLY ? 20_000 : 5_000));
const firstSeed = Number(process.env.OSTRIA_DIFFERENTIAL_FIRST_SEED ?? 1);

/** Who refused: the proxy that the request came to, or the server's. */
const sides = ['rbac', 'jwt'].flatMap((kind) => [`${kind} first`, `${kind} second`]);

/** Other clients than those of HTTP/1.1 that know everything. */
const others = [
  ...[
    'http2 200',
    'http2 both sides',
    'tcp 0',
    'tcp 200',
    'tcp both sides',
    'tls 0',
    'tls 200',
    'tls both sides',
  ],
  ...['lazy 200', 'lazy 404', 'lazy 500'],
  ...['captured 0', 'captured 200', 'captured 502', 'captured both sides', 'passed through 200'],
];

let harness: Differential;

beforeAll(async () => {
  harness = await startDifferential();
});

afterAll(() => harness?.stop());

interface Case {
  readonly config: readonly ConfigObject[];
  readonly request: TrafficRequest;
}

async function explain(seed: number, failing: Case, why: string): Promise<string> {
  const differs = async ({ config, request }: Case): Promise<boolean> => {
    await harness.use(config);
    // The same disagreement: smaller cases may have others.
    return (await harness.compare([request], 3000)).get(0) === why;
  };
  const keep = [
    'apiVersion',
    'kind',
    'metadata',
    'config',
    'request',
    'entry',
    'sni',
    'method',
    'path',
    'host',
    'hosts',
    'headers',
    'name',
    'namespace',
    'creationTimestamp',
    // Without them endpoints are where nobody listens.
    'ports',
    'http',
    'http-more',
    'tls',
    'spec',
  ];
  const small = await shrink(failing, differs, { tries: 150, keep });
  return `seed ${seed}: ${why}\n${JSON.stringify(small.request)}\n${small.config.map((object) => JSON.stringify(object)).join('\n')}`;
}

test(`simulator and Envoy agree on ${pairs} requests`, { timeout: 3_600_000 }, async () => {
  const outcomes = new Map<string, number>();
  for (let seed = firstSeed, done = 0; done < pairs; seed++, done += requestsPerConfig) {
    const { config, requests } = drawCase(seed, harness, requestsPerConfig);
    await harness.use(config);
    if (seed % 20 === 0) await harness.renewLazy();
    const differing = await harness.compare(requests, 30_000);
    for (const [index, why] of differing) {
      const failing = { config, request: requests[index] as TrafficRequest };
      expect.fail(await explain(seed, failing, why));
    }
    for (const outcome of harness.outcomes()) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // The vocabulary must lead everywhere, or agreement means little.
  console.log(JSON.stringify(Object.fromEntries(outcomes)));
  if (pairs >= 5000) {
    for (const outcome of [
      '0',
      '200',
      '301',
      '401',
      '403',
      '404',
      '418',
      '500',
      '502',
      '503',
      ...sides,
      ...others,
    ])
      expect(outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(0);
    expect(outcomes.get('both sides') ?? 0).toBeGreaterThan(pairs / 20);
  }
  expect(await harness.refusals()).toEqual([]);
});
