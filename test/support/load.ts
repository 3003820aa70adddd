import { Agent, request } from 'node:http';

export interface LoadResult {
  requests: number;
  /** One line per request that was not answered 2xx. */
  failures: string[];
  /** Answers by body, for telling replicas apart. */
  bodies: Map<string, number>;
}

/** Requests at a fixed rate on kept-alive connections, until stopped. */
export function startLoad(
  url: string,
  options: { perSecond: number; timeoutMs?: number },
): { stop(): Promise<LoadResult> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const result: LoadResult = { requests: 0, failures: [], bodies: new Map() };
  const open = new Set<Promise<void>>();
  const one = () =>
    new Promise<void>((resolve) => {
      result.requests++;
      const fail = (why: string) => {
        if (result.failures.length < 100) result.failures.push(why);
        resolve();
      };
      const sent = request(url, { agent, timeout: options.timeoutMs ?? 5_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => {
          if ((response.statusCode ?? 0) >= 300) return fail(`${response.statusCode} ${body.slice(0, 200)}`);
          result.bodies.set(body, (result.bodies.get(body) ?? 0) + 1);
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
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      return result;
    },
  };
}
