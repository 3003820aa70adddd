// Every file of Istio's Bookinfo tasks, unmodified, and what people then see in the page.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bookinfo, eventually, networking, noNetworking, openBookinfo } from '../../support/bookinfo.ts';

const nightly = process.env.OSTRIA_NIGHTLY === '1';
/** Calls per distribution: enough to tell 80/20 from 90/10 when 5 standard deviations are allowed. */
const sample = nightly ? 10_000 : 500;

let mesh: Bookinfo;
let jason = '';

/** Files that a test drove: at the end it must be all of them. */
const driven = new Set<string>();
const file = (name: string): string => {
  driven.add(name);
  return join(networking, name);
};
const apply = (name: string) => mesh.ok('apply', '-f', file(name));
const remove = (name: string) => mesh.ok('delete', '-f', join(networking, name));

/** Whether the version has its share of calls, within 5 standard deviations of the binomial distribution. */
function hasShare(counts: Map<string, number>, version: string, share: number): boolean {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const tolerance = 5 * Math.sqrt(total * share * (1 - share));
  return Math.abs((counts.get(version) ?? 0) - total * share) <= tolerance;
}

async function eventuallyShares(shares: Record<string, number>): Promise<void> {
  // The edit has arrived when only the wanted versions answer; then the shares count.
  await eventually(async () => {
    const seen = await mesh.countReviews(30);
    expect([...seen.keys()].sort()).toEqual(Object.keys(shares).sort());
  });
  // One count may hold answers from before the edit, and is off by chance once in 100,000 times: three are not.
  const counted: [string, number][][] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const counts = await mesh.countReviews(sample);
    expect([...counts.keys()].sort()).toEqual(Object.keys(shares).sort());
    if (Object.entries(shares).every(([version, share]) => hasShare(counts, version, share))) return;
    counted.push([...counts]);
  }
  expect.fail(`shares ${JSON.stringify(shares)}, counted ${JSON.stringify(counted)}`);
}

const page = (cookie?: string) => mesh.page(cookie);
const well = { status: 200, missing: [] };

describe.skipIf(noNetworking)(`Bookinfo with Istio's own files ${noNetworking ?? ''}`, () => {
  beforeAll(async () => {
    mesh = await openBookinfo();
    jason = await mesh.signIn('jason');
  });
  afterAll(() => mesh?.close());

  test('without rules every version of reviews answers', async () => {
    await eventually(async () => {
      expect([...(await mesh.countReviews(60)).keys()].sort()).toEqual(['v1', 'v2', 'v3']);
    });
    // Endpoints are chosen at random: after 100 calls a version is missing once in 10^17 runs.
    const seen = new Set<string>();
    for (let call = 0; call < 100 && seen.size < 3; call++) {
      const { stars, status } = await page();
      expect(status).toBe(200);
      seen.add(stars);
    }
    expect([...seen].sort()).toEqual(['black', 'none', 'red']);
    expect(await page(jason)).toMatchObject({ ...well, user: 'jason' });
  });

  test('bookinfo-gateway.yaml replaces the gateway that the mesh came with', async () => {
    const index = async () => (await fetch(`${mesh.url}/`)).status;
    expect(await index()).toBe(200);
    expect(await apply('bookinfo-gateway.yaml')).toContain(
      'virtualservice.networking.istio.io/bookinfo configured',
    );
    // Istio's file lets fewer paths in.
    await eventually(async () => expect(await index()).toBe(404));
    expect(await page()).toMatchObject(well);
    expect((await fetch(`${mesh.url}/api/v1/products`)).status).toBe(200);
  });

  test('destination-rule-all.yaml names versions and changes no traffic', async () => {
    await apply('destination-rule-all.yaml');
    expect(await page()).toMatchObject(well);
    const clusters = await mesh.ok('proxy-config', 'cluster', 'productpage-v1-0', '-o', 'json');
    for (const subset of ['v1', 'v2', 'v3'])
      expect(clusters).toContain(`outbound|9080|${subset}|reviews.default.svc.cluster.local`);
  });

  test('virtual-service-all-v1.yaml: no stars for anybody', async () => {
    await apply('virtual-service-all-v1.yaml');
    await eventuallyShares({ v1: 1 });
    for (const cookie of [undefined, jason])
      expect(await page(cookie)).toMatchObject({ ...well, reviews: 'v1', stars: 'none' });
  });

  test.each<[name: string, shares: Record<string, number>]>([
    ['virtual-service-reviews-v3.yaml', { v3: 1 }],
    ['virtual-service-reviews-50-v3.yaml', { v1: 0.5, v3: 0.5 }],
    ['virtual-service-reviews-80-20.yaml', { v1: 0.8, v2: 0.2 }],
    ['virtual-service-reviews-90-10.yaml', { v1: 0.9, v2: 0.1 }],
    ['virtual-service-reviews-v2-v3.yaml', { v2: 0.5, v3: 0.5 }],
  ])(
    '%s: each version has its share',
    async (name, shares) => {
      await apply(name);
      await eventuallyShares(shares);
    },
    300_000,
  );

  test('virtual-service-reviews-v3.yaml: red stars in the page', async () => {
    await apply('virtual-service-reviews-v3.yaml');
    await eventually(async () =>
      expect(await page()).toMatchObject({ ...well, reviews: 'v3', stars: 'red' }),
    );
  });

  test.each([
    ['virtual-service-reviews-test-v2.yaml', 'v1', 'none'],
    ['virtual-service-reviews-jason-v2-v3.yaml', 'v3', 'red'],
  ] as const)('%s: jason sees v2, everybody else %s', async (name, others, stars) => {
    await apply(name);
    const anna = await mesh.signIn('anna');
    await eventually(async () => {
      expect(await page()).toMatchObject({ ...well, reviews: others, stars });
      expect(await page(jason)).toMatchObject({ ...well, reviews: 'v2', stars: 'black', user: 'jason' });
    });
    for (let call = 0; call < 5; call++) {
      expect(await page(jason)).toMatchObject({ reviews: 'v2' });
      expect(await page(anna)).toMatchObject({ reviews: others, user: 'anna' });
    }
    expect([...(await mesh.countReviews(40)).keys()]).toEqual([others]);
    expect([...(await mesh.countReviews(40, jason)).keys()]).toEqual(['v2']);
  });

  test('virtual-service-ratings-test-delay.yaml: productpage gives up on reviews after twice 3 s', async () => {
    await apply('virtual-service-reviews-test-v2.yaml');
    await apply('virtual-service-ratings-test-delay.yaml');
    await eventually(async () => {
      const seen = await page(jason);
      expect(seen).toMatchObject({ status: 200, reviews: undefined, missing: ['reviews'] });
      expect(seen.ms).toBeGreaterThan(5_900);
    }, 40_000);
    expect(await page()).toMatchObject({ ...well, reviews: 'v1' });
  });

  test('virtual-service-ratings-test-abort.yaml: reviews without ratings, for jason only', async () => {
    await apply('virtual-service-ratings-test-abort.yaml');
    await eventually(async () => {
      const seen = await page(jason);
      expect(seen).toMatchObject({ reviews: 'v2', stars: 'none', missing: ['ratings'] });
      expect(seen.ms).toBeLessThan(5_000);
    });
    await apply('virtual-service-reviews-jason-v2-v3.yaml');
    await eventually(async () =>
      expect(await page()).toMatchObject({ ...well, reviews: 'v3', stars: 'red' }),
    );
  });

  test('fault-injection-details-v1.yaml: details answer 555', async () => {
    const details = async () => (await fetch(`${mesh.url}/api/v1/products/0`)).status;
    expect(await details()).toBe(200);
    await apply('fault-injection-details-v1.yaml');
    await eventually(async () => expect(await details()).toBe(555));
    expect(await page()).toMatchObject({ status: 200, missing: ['details'] });
  });

  test('virtual-service-details-v2.yaml: a version without copies is a 503, until one joins', async () => {
    const details = async () => (await fetch(`${mesh.url}/api/v1/products/0`)).status;
    await apply('destination-rule-all.yaml');
    await apply('virtual-service-details-v2.yaml');
    await eventually(async () => expect(await details()).toBe(503));
    expect(await page()).toMatchObject({ missing: ['details'] });
    await apply('virtual-service-all-v1.yaml');
    await eventually(async () => expect(await details()).toBe(200));
  });

  test.each([
    ['virtual-service-ratings-db.yaml', 'v2'],
    ['virtual-service-ratings-mysql.yaml', 'v2-mysql'],
    ['virtual-service-ratings-mysql-vm.yaml', 'v2-mysql-vm'],
  ])('%s: no ratings as long as nobody runs %s', async (name, subset) => {
    await apply(name);
    await eventually(async () =>
      expect(await page()).toMatchObject({ reviews: 'v3', missing: ['ratings'], stars: 'none' }),
    );
    expect(await mesh.ok('proxy-config', 'route', 'reviews-v3-0', '-o', 'json')).toContain(
      `outbound|9080|${subset}|ratings.default.svc.cluster.local`,
    );
    expect((await fetch(`${mesh.url}/api/v1/products/0/ratings`)).status).toBe(503);
    await apply('virtual-service-all-v1.yaml');
    await eventually(async () => expect(await page()).toMatchObject(well));
  });

  test('destination-rule-all-mtls.yaml: the same traffic, with what the mesh does anyway', async () => {
    await apply('destination-rule-all-mtls.yaml');
    expect(await page()).toMatchObject(well);
    await eventuallyShares({ v1: 1 });
  });

  test('destination-rule-reviews.yaml: a random copy', async () => {
    await apply('destination-rule-reviews.yaml');
    await eventually(async () =>
      expect(
        await mesh.ok(
          'proxy-config',
          'cluster',
          'productpage-v1-0',
          '--fqdn',
          'reviews.default.svc.cluster.local',
          '-o',
          'json',
        ),
      ).toContain('"RANDOM"'),
    );
    await eventuallyShares({ v1: 1 });
  });

  test('egress-rule-google-apis.yaml: a host outside, its port rewritten, TLS originated', async () => {
    await apply('egress-rule-google-apis.yaml');
    await eventually(async () => {
      const clusters = await mesh.ok(
        'proxy-config',
        'cluster',
        'productpage-v1-0',
        '--fqdn',
        'www.googleapis.com',
        '-o',
        'json',
      );
      const port443 = (JSON.parse(clusters) as { name: string }[]).find(
        ({ name }) => name === 'outbound|443||www.googleapis.com',
      );
      expect(JSON.stringify(port443)).toContain('UpstreamTlsContext');
      expect(await mesh.ok('proxy-config', 'route', 'productpage-v1-0', '-o', 'json')).toContain(
        'outbound|443||www.googleapis.com',
      );
    });
    expect(await page()).toMatchObject(well);
    await remove('egress-rule-google-apis.yaml');
    await eventually(async () =>
      expect(await mesh.ok('proxy-config', 'route', 'productpage-v1-0', '-o', 'json')).not.toContain(
        'www.googleapis',
      ),
    );
  });

  test('certmanager-gateway.yaml: a second gateway, on port 80', async () => {
    const url = `http://127.0.0.1:${await mesh.gatewayPort(80)}`;
    await apply('certmanager-gateway.yaml');
    const status = async (path: string) => (await fetch(`${url}${path}`)).status;
    // Nobody answers the challenge here; what is no challenge is not let in.
    await eventually(async () => {
      expect(await status('/.well-known/acme-challenge/token')).toBeGreaterThanOrEqual(500);
      expect(await status('/productpage')).toBe(404);
    });
    expect(await page()).toMatchObject(well);
    await remove('certmanager-gateway.yaml');
    await eventually(async () => {
      await expect(status('/.well-known/acme-challenge/token')).rejects.toThrow();
    });
  });

  test('kubectl applies and deletes the same files', async () => {
    const kubectl = mesh.kubectl();
    await kubectl.ok(['apply', '-f', file('virtual-service-reviews-v3.yaml')]);
    await eventually(async () => expect(await page()).toMatchObject({ reviews: 'v3', stars: 'red' }));
    await kubectl.ok(['apply', '-f', file('virtual-service-reviews-50-v3.yaml')]);
    await eventuallyShares({ v1: 0.5, v3: 0.5 });
    await mesh.ok('apply', '-f', file('virtual-service-all-v1.yaml'));
    await eventuallyShares({ v1: 1 });
    await kubectl.ok(['delete', '-f', file('virtual-service-all-v1.yaml')]);
    await eventuallyShares({ v1: 1 / 3, v2: 1 / 3, v3: 1 / 3 });
  });

  test('deleting what was applied brings the default back; every file was driven', async () => {
    await remove('destination-rule-all-mtls.yaml');
    await eventually(async () => {
      expect(await page()).toMatchObject(well);
      expect(await mesh.ok('proxy-config', 'route', 'productpage-v1-0', '-o', 'json')).not.toContain('|v1|');
    });
    // Clusters stay a while, for requests that are under way.
    if (nightly)
      await eventually(async () => {
        const clusters = await mesh.ok('proxy-config', 'cluster', 'productpage-v1-0');
        expect(clusters).not.toMatch(/reviews\.default\.svc\.cluster\.local\s+9080\s+v|www.googleapis/);
      }, 60_000);
    expect([...driven].sort()).toEqual(
      readdirSync(networking)
        .filter((name) => name.endsWith('.yaml'))
        .sort(),
    );
  });
});
