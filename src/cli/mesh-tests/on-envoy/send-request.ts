import { http } from '../../../kit/node-http.ts';
import type { Call } from '../../../simulate/call.ts';
import { arrivalHeader } from './application.ts';

export interface Reply {
  /** 0: the connection ended without an answer. */
  readonly status: number;
  readonly location?: string;
  /** As the application that answered says it. */
  readonly arrival?: string;
}

const timeoutMs = 15_000;

/** Sends a call as an application would, to a listener of its sidecar or of a gateway, on a connection of its own. Never rejects. */
export function sendRequest(call: Call, absolute: boolean): Promise<Reply> {
  const { port, host = '', path = '/', method = 'GET', headers = {} } = call;
  return new Promise((resolve) => {
    const sent = http.request(
      {
        host: '127.0.0.1',
        port,
        method,
        path: absolute ? `http://${host}${path}` : path,
        headers: { ...headers, host },
        agent: false,
        timeout: timeoutMs,
      },
      (response) => {
        response.resume();
        const { statusCode = 0, headers: got } = response;
        const { location, [arrivalHeader]: arrival } = got;
        const done = () =>
          resolve({
            status: statusCode,
            ...(location === undefined ? {} : { location }),
            ...(arrival === undefined ? {} : { arrival: String(arrival) }),
          });
        response.on('end', done);
        response.on('error', done);
      },
    );
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve({ status: 0 }));
    sent.end();
  });
}
