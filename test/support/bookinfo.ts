import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { vi } from 'vitest';
import type { InstanceStatus } from '../../src/cli/supervisor/instance.ts';
import { createKubectl, findKubectl, type Kubectl } from './kubectl.ts';
import { type Ostria, openOstria, root } from './ostria.ts';
import { takePortBase } from './port-base.ts';

const conformance = resolve(process.env.OSTRIA_CONFORMANCE ?? join(root, '..', 'shared', 'conformance'));

/** Istio's own YAML for Bookinfo. */
export const networking = join(conformance, 'samples', 'bookinfo', 'networking');

/** Why tests that need it are skipped; undefined where it is there. */
export const noNetworking = existsSync(networking)
  ? undefined
  : `SKIPPED: there is no conformance data at ${conformance}`;

/** What a person sees on the product page. */
export interface Page {
  readonly status: number;
  readonly user: string;
  /** Copy of reviews that answered: `v1`, …; undefined where the page shows none. */
  readonly reviews: string | undefined;
  /** `none`: reviews without stars. */
  readonly stars: 'none' | 'black' | 'red';
  /** What the page says to be missing. */
  readonly missing: readonly ('reviews' | 'ratings' | 'details')[];
  readonly ms: number;
}

export interface Bookinfo {
  readonly ostria: Ostria;
  /** `http://127.0.0.1:PORT` of the ingress gateway's port 8080. */
  readonly url: string;
  kubectl(): Kubectl;
  instance(name: string): Promise<InstanceStatus>;
  /** This machine's port of a port of the ingress gateway. */
  gatewayPort(port: number): Promise<number>;
  page(cookie?: string): Promise<Page>;
  /** Signs in as a browser does; the cookie. */
  signIn(user: string): Promise<string>;
  /** How many of `count` calls each version of reviews answered; other answers under their status. */
  countReviews(count: number, cookie?: string): Promise<Map<string, number>>;
  /** Expects exit code 0; the output. */
  ok(...args: string[]): Promise<string>;
  close(): Promise<void>;
}

/** Starts the Bookinfo sample as a user does. */
export async function openBookinfo(...flags: string[]): Promise<Bookinfo> {
  const ostria = await openOstria();
  const { base, release } = await takePortBase();
  const close = async (): Promise<void> => {
    await ostria.close();
    release();
  };
  const ok: Bookinfo['ok'] = async (...args) => {
    const { code, stdout, stderr } = await ostria.run(args);
    if (code !== 0) throw new Error(`ostria ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  };
  const instance: Bookinfo['instance'] = async (name) => {
    const found = (await ostria.status()).instances.find((candidate) => candidate.name === name);
    if (!found) throw new Error(`there is no instance ${name}`);
    return found;
  };
  const gatewayPort: Bookinfo['gatewayPort'] = async (port) => {
    const { endpoints } = await instance('istio-ingressgateway');
    const found = endpoints.find(({ servicePort }) => servicePort === port);
    if (!found) throw new Error(`the gateway has no port ${port}`);
    return found.listen;
  };
  try {
    const mesh = join(root, 'samples', 'bookinfo', 'mesh.yaml');
    await ok('up', '-f', mesh, '--detach', '--port-base', String(base), ...flags);
    const url = `http://127.0.0.1:${await gatewayPort(8080)}`;
    return {
      ostria,
      url,
      ok,
      instance,
      gatewayPort,
      kubectl: () => {
        const found = findKubectl();
        if ('missing' in found) throw new Error(found.missing);
        return createKubectl(found.path, join(ostria.home, 'bookinfo', 'kubeconfig'), ostria.home);
      },
      page: (cookie) => readPage(url, cookie),
      signIn: (user) => signIn(url, user),
      countReviews: (count, cookie) => countReviews(url, count, cookie),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function withCookie(cookie: string | undefined): { headers: Record<string, string>; signal: AbortSignal } {
  return { headers: cookie === undefined ? {} : { cookie }, signal: AbortSignal.timeout(30_000) };
}

async function readPage(url: string, cookie: string | undefined): Promise<Page> {
  const start = performance.now();
  const answer = await fetch(`${url}/productpage`, withCookie(cookie));
  const html = await answer.text();
  const color = /data-color="(black|red)"/.exec(html)?.[1] as 'black' | 'red' | undefined;
  const served = /Reviews served by <code>reviews-(v\d)-/.exec(html)?.[1];
  return {
    status: answer.status,
    user: /<b>([^<]*)<\/b><\/span>/.exec(html)?.[1] ?? '',
    reviews: served,
    stars: color ?? 'none',
    missing: [
      ...(html.includes('the reviews of this book cannot be shown') ? (['reviews'] as const) : []),
      ...(html.includes('Ratings are unavailable') ? (['ratings'] as const) : []),
      ...(html.includes('the details of this book cannot be shown') ? (['details'] as const) : []),
    ],
    ms: performance.now() - start,
  };
}

async function signIn(url: string, user: string): Promise<string> {
  const answer = await fetch(`${url}/login`, {
    method: 'POST',
    body: new URLSearchParams({ username: user, passwd: 'any' }),
    redirect: 'manual',
    signal: AbortSignal.timeout(30_000),
  });
  await answer.arrayBuffer();
  const [cookie] = answer.headers.getSetCookie();
  if (answer.status !== 302 || cookie === undefined)
    throw new Error(`signing in was answered ${answer.status}`);
  return cookie.split(';')[0] as string;
}

async function countReviews(
  url: string,
  count: number,
  cookie: string | undefined,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await fetch(`${url}/api/v1/products/0/reviews`, withCookie(cookie));
      const body = (await answer.json()) as { podname?: string };
      const key = /^reviews-(v\d)-/.exec(body.podname ?? '')?.[1] ?? String(answer.status);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return counts;
}

/** Polls until the expectation holds; the last failure is what is thrown after `timeout` ms (default 30,000). */
export async function eventually(check: () => Promise<void>, timeout = 30_000): Promise<void> {
  await vi.waitFor(check, { timeout, interval: 50 });
}
