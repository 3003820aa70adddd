import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { http } from '../../../kit/node-http.ts';

/** A request as an application got it. */
export interface Arrived {
  /** `namespace/name` of the workload. */
  readonly workload: string;
  readonly host: string;
  /** With query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Stands for the application of a workload: takes every request, and says in its answer which one that was. */
export interface Application {
  readonly port: number;
  close(): Promise<void>;
}

/** Header of answers: the id of the request as it arrived. Mirrored requests and earlier attempts have others. */
export const arrivalHeader = 'x-ostria-test-arrival';

export async function startApplication(
  workload: string,
  arrived: (id: string, request: Arrived) => void,
): Promise<Application> {
  const server = http.createServer((request: IncomingMessage, response) => {
    const { host = '', ...rest } = request.headers;
    const headers = Object.fromEntries(
      Object.entries(rest).map(([name, value]) => [name, ([] as string[]).concat(value ?? '').join(',')]),
    );
    const id = randomUUID();
    arrived(id, { workload, host, path: request.url ?? '', headers });
    request.resume();
    response.setHeader(arrivalHeader, id);
    response.end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
