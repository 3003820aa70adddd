import type { IncomingMessage } from 'node:http';
import { http } from '../kit/node-http.ts';

export interface AdminResponse {
  status: number;
  body: string;
}

/** Envoy's admin interface on its unix socket. */
export interface EnvoyAdmin {
  /** Rejects when Envoy does not answer in time (default 5,000 ms) or says more than `maxBytes` (default 4 MiB). */
  call(
    path: string,
    options?: { method?: 'GET' | 'POST'; timeoutMs?: number; maxBytes?: number },
  ): Promise<AdminResponse>;
  /** The response before its body is read. The caller must consume or destroy it. */
  open(path: string, timeoutMs?: number): Promise<IncomingMessage>;
  /** Values of the statistics that match a regular expression. */
  stats(pattern: string): Promise<Map<string, number>>;
}

export function createEnvoyAdmin(socketPath: string): EnvoyAdmin {
  const open = (path: string, timeoutMs = 5_000, method = 'GET') =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const sent = http.request({ socketPath, path, method, agent: false, timeout: timeoutMs }, resolve);
      sent.on('timeout', () =>
        sent.destroy(new Error(`Envoy's admin interface did not answer within ${timeoutMs} ms`)),
      );
      sent.on('error', reject);
      sent.end();
    });
  const admin: EnvoyAdmin = {
    open,
    async call(path, options = {}) {
      const { method = 'GET', timeoutMs = 5_000, maxBytes = 4 << 20 } = options;
      const response = await open(path, timeoutMs, method);
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > maxBytes) throw new Error(`Envoy's answer to ${path} exceeds ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
    },
    async stats(pattern) {
      const { body } = await admin.call(`/stats?filter=${encodeURIComponent(pattern)}`);
      const values = new Map<string, number>();
      for (const line of body.split('\n')) {
        const at = line.lastIndexOf(': ');
        const value = at > 0 ? Number(line.slice(at + 2)) : Number.NaN;
        if (!Number.isNaN(value)) values.set(line.slice(0, at), value);
      }
      return values;
    },
  };
  return admin;
}
