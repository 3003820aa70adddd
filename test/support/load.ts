import { Agent, type IncomingMessage, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface LoadResult {
  /** How many were begun. */
  requests: number;
  /** How many of them were answered 2xx. */
  answered: number;
  /** One line per request that was not answered 2xx; the first hundred. */
  failures: string[];
  /** Answers by body, for telling replicas apart. */
  bodies: Map<string, number>;
  /** Over TLS: fingerprints of the certificates that servers showed. */
  certificates: Set<string>;
}

export interface LoadOptions {
  readonly perSecond: number;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** For a URL with `https:`: whom to trust, and the name that is asked for. Every request then makes a connection of its own. */
  readonly tls?: { readonly ca: string; readonly servername: string };
}

export interface Load {
  /** So far. */
  readonly result: LoadResult;
  /**
   * Resolves when that many requests which began after the call were answered (with that body, if one is given): proof that load ran
   * at a time, however fast or slow the machine is. Rejects after a minute.
   */
  goesOn(count?: number, body?: string): Promise<void>;
  /** Ends it; resolves when every request has ended. */
  stop(): Promise<LoadResult>;
}

interface Watcher {
  /** Requests from this number on count. */
  readonly from: number;
  readonly body: string | undefined;
  left: number;
  readonly done: () => void;
}

/** How long `goesOn` waits, ms. */
const patienceMs = 60_000;

/** Sends one request; the caller's handler gets the answer. */
function sender(url: string, { tls, timeoutMs: timeout = 30_000 }: LoadOptions) {
  if (!tls) {
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    return { agent, send: (handler: Handler) => request(url, { agent, timeout }, handler) };
  }
  // A session that is resumed would show no certificate.
  const agent = new TlsAgent({ maxCachedSessions: 0 });
  const options = { ...tls, agent, timeout, headers: { host: tls.servername } };
  return { agent, send: (handler: Handler) => tlsRequest(url, options, handler) };
}

type Handler = (response: IncomingMessage) => void;

/** Requests at a fixed rate on kept-alive connections, until stopped. */
export function startLoad(url: string, options: LoadOptions): Load {
  const { agent, send } = sender(url, options);
  const result: LoadResult = {
    requests: 0,
    answered: 0,
    failures: [],
    bodies: new Map(),
    certificates: new Set(),
  };
  const open = new Set<Promise<void>>();
  const watchers = new Set<Watcher>();
  const answered = (number: number, body: string): void => {
    result.answered++;
    result.bodies.set(body, (result.bodies.get(body) ?? 0) + 1);
    for (const watcher of watchers)
      if (number >= watcher.from && (watcher.body ?? body) === body && --watcher.left === 0) watcher.done();
  };
  const one = () =>
    new Promise<void>((resolve) => {
      const number = result.requests++;
      const fail = (why: string) => {
        if (result.failures.length < 100) result.failures.push(why);
        resolve();
      };
      const sent = send((response) => {
        if (options.tls)
          result.certificates.add((response.socket as TLSSocket).getPeerCertificate().fingerprint256);
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => {
          if ((response.statusCode ?? 0) >= 300) return fail(`${response.statusCode} ${body.slice(0, 200)}`);
          answered(number, body);
          resolve();
        });
        response.on('error', (error) => fail(error.message));
      });
      sent.on('timeout', () => sent.destroy(new Error('timed out')));
      sent.on('error', (error) => fail(error.message));
      sent.end();
    });
  const timer = setInterval(() => {
    const done = one().finally(() => open.delete(done));
    open.add(done);
  }, 1000 / options.perSecond);
  return {
    result,
    goesOn(count = 10, body) {
      return new Promise((resolve, reject) => {
        const end = (): void => {
          clearTimeout(patience);
          watchers.delete(watcher);
        };
        const done = (): void => {
          end();
          resolve();
        };
        const watcher: Watcher = { from: result.requests, body, left: count, done };
        const patience = setTimeout(() => {
          end();
          const of = body === undefined ? '' : ` of ${body}`;
          reject(new Error(`${watcher.left} of ${count} answers${of} from ${url} did not come in a minute`));
        }, patienceMs);
        watchers.add(watcher);
      });
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      return result;
    },
  };
}
