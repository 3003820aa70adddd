import { createServer, request, type Server } from 'node:http';
import { type RequestOptions, request as requestTls } from 'node:https';
import type { ConnectionOptions } from 'node:tls';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** What the echo server saw. */
export interface Echo {
  version: string;
  method: string;
  host: string;
  path: string;
  httpVersion: string;
  headers: Record<string, string>;
}

/**
 * An HTTP server on a loopback port that answers with what it got. Like every server of these tests behind an Envoy it keeps idle
 * connections (`keepAliveTimeout: 0`): one that ends them by its own clock may meet a request on its way, which is then lost.
 */
export async function startEcho(version: string, port: number): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
    const { url: path = '', method, httpVersion, headers } = incoming;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ version, method, host: headers.host, path, httpVersion, headers }));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

/** One request on a connection of its own. */
export function call(
  port: number,
  path = '/',
  headers: Record<string, string> = {},
  options: RequestOptions & Pick<ConnectionOptions, 'ALPNProtocols'> & { tls?: boolean; body?: string } = {},
): Promise<Answer> {
  const { tls, body: sent, ...rest } = options;
  return new Promise((resolve, reject) => {
    const outgoing = (tls ? requestTls : request)(
      { host: '127.0.0.1', port, path, headers, agent: false, ...rest },
      (incoming) => {
        let body = '';
        incoming.on('data', (chunk) => {
          body += chunk;
        });
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(sent);
  });
}

export function parseEcho(answer: Answer): Echo {
  return JSON.parse(answer.body) as Echo;
}
