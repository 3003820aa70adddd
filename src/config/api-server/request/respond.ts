import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { stringify } from 'yaml';

export type ApiResponse = ServerResponse | Http2ServerResponse;

export interface Answer {
  code: number;
  /** JSON data, or text that is already encoded. */
  body: unknown;
  type?: string;
  headers?: Record<string, string>;
}

const gzipAsync = promisify(gzip);
/** Kubernetes compresses from this size on. */
const gzipFrom = 128 * 1024;

/** Writes one whole answer. */
export async function respond(
  response: ApiResponse,
  answer: Answer,
  options: { acceptEncoding: string; warnings: readonly string[]; head: boolean },
): Promise<void> {
  if (response.headersSent || response.destroyed || response.writableEnded) return;
  const type = answer.type ?? 'application/json';
  let bytes = Buffer.from(encode(answer.body, type));
  const headers: Record<string, string | string[]> = {
    'content-type': type,
    'cache-control': 'no-cache, private',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  };
  if (bytes.length >= gzipFrom && /\bgzip\b/.test(options.acceptEncoding)) {
    bytes = await gzipAsync(bytes, { level: 1 });
    headers['content-encoding'] = 'gzip';
    headers.vary = 'Accept-Encoding';
  }
  headers['content-length'] = String(bytes.length);
  if (options.warnings.length > 0) headers.warning = options.warnings.map((text) => `299 - ${quoted(text)}`);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = answer.code;
  if (options.head) response.end();
  else response.end(bytes);
}

function encode(body: unknown, type: string): string | Uint8Array {
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  if (type === 'application/yaml') return stringify(body, { aliasDuplicateObjects: false });
  return `${JSON.stringify(body)}\n`;
}

/** A quoted string for a header: control characters and what is not Latin-1 cannot stand there. */
function quoted(text: string): string {
  const plain = text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 1000);
  return `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
