import { rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';

/** Answers one kind of call of `ostria` to its supervisor. */
export type ControlHandler = (body: unknown) => unknown | Promise<unknown>;

const maxBody = 1024 * 1024;

/** Serves `POST /<name>` on a unix socket in a private directory: whoever can open it is the user himself. */
export async function serveControl(
  path: string,
  handlers: Readonly<Record<string, ControlHandler>>,
): Promise<Server> {
  rmSync(path, { force: true });
  const server = http.createServer(async (message, response) => {
    const answer = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value ?? null));
    };
    try {
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of message as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > maxBody)
          throw new CodedError('ControlBodyTooLarge', `a call is larger than ${maxBody} bytes`);
        chunks.push(chunk);
      }
      const name = (message.url ?? '').slice(1);
      const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
      if (!handler)
        return answer(404, { code: 'ControlUnknown', message: `the supervisor knows no call ${name}` });
      const text = Buffer.concat(chunks).toString('utf8');
      answer(200, await handler(text === '' ? undefined : JSON.parse(text)));
    } catch (error) {
      answer(500, { code: error instanceof CodedError ? error.code : 'Internal', message: messageOf(error) });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return server;
}

/** Calls the supervisor. Throws `SupervisorUnreachable` when there is none, and what the supervisor throws. */
export function callControl<T>(path: string, name: string, body?: unknown, timeoutMs = 10_000): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      { socketPath: path, method: 'POST', path: `/${name}`, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          try {
            const value = JSON.parse(text);
            if (response.statusCode === 200) resolve(value as T);
            else reject(new CodedError(value.code, value.message));
          } catch (error) {
            reject(error as Error);
          }
        });
      },
    );
    outgoing.once('error', (error) =>
      reject(
        new CodedError('SupervisorUnreachable', `the supervisor does not answer: ${error.message}`, {
          cause: error,
        }),
      ),
    );
    outgoing.end(body === undefined ? '' : JSON.stringify(body));
  });
}
