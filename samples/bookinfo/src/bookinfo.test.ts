import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const children: ChildProcess[] = [];
const servers: Server[] = [];

/** Starts one program of the sample on a free port; resolves with its URL. */
function start(program: string, env: Record<string, string> = {}): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${program}.ts`)], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const url = /listens on (\S+)/.exec(text)?.[1];
      if (url) resolve(url);
    });
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
}

/** A backend that records the headers it gets and answers after a while. */
async function recorder(answer: object, delayMs = () => 0, status = 200) {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    setTimeout(() => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    }, delayMs());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

interface Reviews {
  reviews: { reviewer: string; text: string; rating?: object }[];
}

async function reviewsOf(url: string): Promise<Reviews> {
  return (await (await fetch(`${url}/reviews/0`)).json()) as Reviews;
}

let details: string;
let ratings: string;
const reviews: Record<'v1' | 'v2' | 'v3', string> = { v1: '', v2: '', v3: '' };

beforeAll(async () => {
  [details, ratings] = await Promise.all([start('details'), start('ratings')]);
  const env = { RATINGS_URL: ratings, HOSTNAME: 'reviews-0', CLUSTER_NAME: 'here' };
  [reviews.v1, reviews.v2, reviews.v3] = await Promise.all([
    start('reviews', { ...env, ENABLE_RATINGS: 'false' }),
    start('reviews', { ...env, ENABLE_RATINGS: 'true' }),
    start('reviews', { ...env, ENABLE_RATINGS: 'true', STAR_COLOR: 'red' }),
  ]);
});

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function page(env: Record<string, string>, headers: Record<string, string> = {}): Promise<string> {
  const url = await start('productpage', { DETAILS_URL: details, ...env });
  return (await fetch(`${url}/productpage`, { headers })).text();
}

test('details', async () => {
  const answer = await fetch(`${details}/details/0`);
  expect(await answer.json()).toMatchObject({ id: 0, author: 'William Shakespeare', pages: 200 });
  expect((await fetch(`${details}/details/x`)).status).toBe(400);
  expect(await (await fetch(`${details}/health`)).json()).toEqual({ status: 'details is healthy' });
});

test('ratings are read and posted', async () => {
  expect(await (await fetch(`${ratings}/ratings/0`)).json()).toEqual({
    id: 0,
    ratings: { Reviewer1: 5, Reviewer2: 4 },
  });
  const post = (body: string) => fetch(`${ratings}/ratings/7`, { method: 'POST', body });
  expect(await (await post('{"Reviewer1": 1}')).json()).toEqual({ id: 7, ratings: { Reviewer1: 1 } });
  expect(await (await fetch(`${ratings}/ratings/7`)).json()).toEqual({ id: 7, ratings: { Reviewer1: 1 } });
  expect((await post('[1]')).status).toBe(400);
  expect((await fetch(`${ratings}/ratings/x`)).status).toBe(400);
  expect((await fetch(`${ratings}/elsewhere`)).status).toBe(404);
});

test('reviews: v1 without stars, v2 black, v3 red', async () => {
  const v1 = await reviewsOf(reviews.v1);
  expect(v1).toMatchObject({ id: '0', podname: 'reviews-0', clustername: 'here' });
  expect(v1.reviews.map((review: object) => Object.keys(review))).toEqual([
    ['reviewer', 'text'],
    ['reviewer', 'text'],
  ]);
  const stars = async (url: string) => (await reviewsOf(url)).reviews.map(({ rating }) => rating);
  expect(await stars(reviews.v2)).toEqual([
    { stars: 5, color: 'black' },
    { stars: 4, color: 'black' },
  ]);
  expect(await stars(reviews.v3)).toEqual([
    { stars: 5, color: 'red' },
    { stars: 4, color: 'red' },
  ]);
});

test('reviews v3 gives up on ratings after 2.5 s, where v2 would wait', async () => {
  const slow = await recorder({ id: 0, ratings: { Reviewer1: 1, Reviewer2: 2 } }, () => 3_000);
  const [v2, v3] = await Promise.all([
    start('reviews', { RATINGS_URL: slow.url, ENABLE_RATINGS: 'true' }),
    start('reviews', { RATINGS_URL: slow.url, ENABLE_RATINGS: 'true', STAR_COLOR: 'red' }),
  ]);
  const ratingOf = async (url: string) => (await reviewsOf(url)).reviews[0]?.rating;
  expect(await Promise.all([ratingOf(v2), ratingOf(v3)])).toEqual([
    { stars: 1, color: 'black' },
    { error: 'Ratings are unavailable right now' },
  ]);
});

test('the page shows stars in the version’s colour', async () => {
  const [v1, v2, v3] = await Promise.all([
    page({ REVIEWS_URL: reviews.v1 }),
    page({ REVIEWS_URL: reviews.v2 }),
    page({ REVIEWS_URL: reviews.v3 }),
  ]);
  expect(v1).toContain('Reviewer1');
  expect(v1).not.toContain('data-stars');
  expect(v2).toContain('data-stars="5" data-color="black"');
  expect(v3).toContain('data-stars="4" data-color="red"');
  expect(v2).toContain('William Shakespeare');
});

test('signing in sets end-user on the calls behind the page; the tracing context goes along', async () => {
  const backend = await recorder({ reviews: [] });
  const url = await start('productpage', { DETAILS_URL: details, REVIEWS_URL: backend.url });
  const form = { method: 'POST', redirect: 'manual' } as const;
  const login = await fetch(`${url}/login`, {
    ...form,
    body: new URLSearchParams({ username: 'jason', passwd: 'x' }),
  });
  expect(login.status).toBe(302);
  expect(login.headers.get('location')).toBe('/productpage');
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
  const text = await (
    await fetch(`${url}/productpage`, {
      headers: {
        cookie,
        'x-request-id': 'r1',
        traceparent: '00-aa-bb-01',
        'x-b3-traceid': 'b3',
        'x-other': 'no',
      },
    })
  ).text();
  expect(text).toContain('jason');
  expect(backend.seen.at(-1)).toMatchObject({
    'end-user': 'jason',
    'x-request-id': 'r1',
    traceparent: '00-aa-bb-01',
    'x-b3-traceid': 'b3',
  });
  expect(backend.seen.at(-1)).not.toHaveProperty('x-other');
  const logout = await fetch(`${url}/logout`, { redirect: 'manual' });
  expect(logout.headers.get('set-cookie')).toContain('Max-Age=0');
  const bad = await fetch(`${url}/login`, { ...form, body: new URLSearchParams({ username: 'a b\r\n' }) });
  expect(bad.status).toBe(400);
});

test('a slow reviews service costs 6 s and then an error in its place: 3 s, tried twice', async () => {
  const slow = await recorder({ reviews: [] }, () => 4_000);
  const start = performance.now();
  const text = await page({ REVIEWS_URL: slow.url });
  expect(performance.now() - start).toBeGreaterThan(5_900);
  expect(slow.seen).toHaveLength(2);
  expect(text).toContain('Sorry, the reviews of this book');
  expect(text).toContain('William Shakespeare');
});

test('the API passes on statuses', async () => {
  const broken = await recorder({}, () => 0, 503);
  const url = await start('productpage', {
    DETAILS_URL: details,
    REVIEWS_URL: broken.url,
    RATINGS_URL: ratings,
  });
  const get = (path: string) => fetch(`${url}${path}`);
  expect(await (await get('/api/v1/products')).json()).toMatchObject([
    { id: 0, title: 'The Comedy of Errors' },
  ]);
  expect((await get('/api/v1/products/0')).status).toBe(200);
  expect((await get('/api/v1/products/0/reviews')).status).toBe(503);
  expect(await (await get('/api/v1/products/0/ratings')).json()).toMatchObject({ ratings: { Reviewer1: 5 } });
  expect((await get('/health')).status).toBe(200);
  expect((await get('/')).status).toBe(200);
  expect((await get('/nowhere')).status).toBe(404);
  expect((await fetch(`${url}/productpage`, { method: 'DELETE' })).status).toBe(405);
});
