import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiPki, openApiPki } from '../../src/config/access/api-pki.ts';
import { writeKubeconfig } from '../../src/config/access/kubeconfig.ts';
import {
  type ApiServer,
  type ApiServerOptions,
  createApiServer,
} from '../../src/config/api-server/api-server.ts';
import { openEmbeddedStore } from '../../src/config/store/embedded/embedded-store.ts';
import { EtcdStore } from '../../src/config/store/etcd/etcd-store.ts';
import type { Store } from '../../src/config/store/store.ts';
import { startEtcd } from './etcd.ts';

export interface ApiAnswer<T = Record<string, unknown>> {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The body as JSON; {} when it is not. */
  json: T;
}

export interface Credential {
  certificatePem?: string;
  keyPem?: string;
  token?: string;
}

export interface CallOptions {
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
  /** Default: the administrator. null: nobody. */
  as?: Credential | null;
}

export interface WatchLine {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
  object: any;
}

export interface TestApi {
  server: ApiServer;
  store: Store;
  pki: ApiPki;
  directory: string;
  kubeconfig: string;
  log: { level: string; message: string; fields: unknown }[];
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
  call(method: string, path: string, options?: CallOptions): Promise<ApiAnswer<any>>;
  watch(
    path: string,
    options?: CallOptions,
  ): {
    lines: WatchLine[];
    until(done: (lines: WatchLine[]) => boolean): Promise<WatchLine[]>;
    stop(): void;
    ended: Promise<void>;
  };
  user(name: string, groups?: readonly string[]): Promise<Credential>;
  close(): Promise<void>;
}

/** A real API server on a free port over an in-memory store, with an administrator's credentials. */
export async function startTestApi(options: Partial<ApiServerOptions> = {}): Promise<TestApi> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-api-'));
  const given = options.store;
  const { store, dispose } = given ? { store: given, dispose: async () => {} } : await openTestStore();
  const pki = options.pki ?? (await openApiPki({ directory }));
  const log: TestApi['log'] = [];
  const server = await createApiServer({
    log: (level, message, fields) => log.push({ level, message, fields }),
    ...options,
    store,
    pki,
  });
  const admin = await pki.issueClient({ user: 'admin', groups: ['system:masters'] });
  const kubeconfig = join(directory, 'kubeconfig');
  await writeKubeconfig(kubeconfig, {
    server: server.url,
    authorityPem: pki.authorityPem,
    credential: admin,
  });
  // One connection pool per credential: a handshake for each call would be most of the time that a test takes.
  const agents = new Map<Credential, Agent>();
  const agentOf = (credential: Credential) => {
    const agent = agents.get(credential) ?? new Agent({ keepAlive: true, maxSockets: 50 });
    agents.set(credential, agent);
    return agent;
  };
  const open = (method: string, path: string, call: CallOptions) => {
    const { as = admin, body, type, headers } = call;
    const credential: Credential = as ?? {};
    const bytes =
      body === undefined
        ? undefined
        : typeof body === 'string' || body instanceof Uint8Array
          ? Buffer.from(body)
          : Buffer.from(JSON.stringify(body));
    const request = httpsRequest(`${server.url}${path}`, {
      method,
      ca: pki.authorityPem,
      agent: as === null ? false : agentOf(credential),
      ...(credential.certificatePem === undefined
        ? {}
        : { cert: credential.certificatePem, key: credential.keyPem ?? '' }),
      headers: {
        ...(credential.token === undefined ? {} : { authorization: `Bearer ${credential.token}` }),
        ...(bytes === undefined
          ? {}
          : { 'content-type': type ?? 'application/json', 'content-length': String(bytes.length) }),
        ...headers,
      },
    });
    request.end(bytes);
    return request;
  };
  return {
    server,
    store,
    pki,
    directory,
    kubeconfig,
    log,
    call: (method, path, call = {}) =>
      new Promise((resolve, reject) => {
        const request = open(method, path, call);
        request.on('error', reject);
        request.on('response', (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text) });
          });
        });
      }),
    watch: (path, call = {}) => watchLines(open('GET', path, call)),
    user: (name, groups = []) => pki.issueClient({ user: name, groups }),
    close: async () => {
      for (const agent of agents.values()) agent.destroy();
      await server.close();
      await dispose();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** In memory; with OSTRIA_TEST_STORE=etcd on a real etcd, so that the same tests hold the API to the same behaviour there. */
async function openTestStore(): Promise<{ store: Store; dispose: () => Promise<void> }> {
  if (process.env.OSTRIA_TEST_STORE !== 'etcd') {
    const store = openEmbeddedStore({ path: ':memory:' });
    return { store, dispose: () => store.close() };
  }
  const etcd = await startEtcd();
  const store = new EtcdStore({ endpoints: [etcd.endpoint] });
  return {
    store,
    dispose: async () => {
      await store.close();
      await etcd.stop();
    },
  };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function watchLines(request: ReturnType<typeof httpsRequest>): ReturnType<TestApi['watch']> {
  const lines: WatchLine[] = [];
  let wake = () => {};
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      resolve();
      wake();
    };
    request.on('error', end);
    request.on('response', (response) => {
      let rest = '';
      response.on('data', (chunk: Buffer) => {
        const parts = (rest + chunk.toString()).split('\n');
        rest = parts.pop() ?? '';
        for (const part of parts) lines.push(JSON.parse(part) as WatchLine);
        wake();
      });
      response.on('end', end);
      response.on('error', end);
    });
  });
  return {
    lines,
    ended,
    stop: () => request.destroy(),
    until: async (done) => {
      const deadline = Date.now() + 30_000;
      while (!done(lines)) {
        if (Date.now() > deadline)
          throw new Error(`not seen within 30 s; got ${JSON.stringify(lines).slice(0, 2000)}`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 200);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return lines;
    },
  };
}
