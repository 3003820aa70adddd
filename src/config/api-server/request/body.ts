import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { ApiLimits } from '../limits.ts';
import { ApiError, badRequest, timedOut, tooLarge, unsupportedMediaType } from '../status.ts';
import { scanJson } from './json-scan.ts';
import { parseProtobufBody, protobufType } from './protobuf-body.ts';
import { parseYaml } from './yaml-aside.ts';
import type { ParsedBody } from './yaml-body.ts';

export type ApiRequest = IncomingMessage | Http2ServerRequest;

/** The media type of a header, without parameters, in lower case. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Reads the whole body, or throws: 413 when it is too large, 504 when it does not arrive, 400 when the client gives up. */
export function readBody(request: ApiRequest, limits: ApiLimits): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limits.bodyBytes) return Promise.reject(bodyTooLarge(limits));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (error?: ApiError) => {
      clearTimeout(timer);
      request.removeListener('data', onData);
      if (error) reject(error);
      else resolve(Buffer.concat(chunks, size));
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.bodyBytes) return end(bodyTooLarge(limits));
      chunks.push(chunk);
    };
    const timer = setTimeout(
      () => end(timedOut(`the body of the request did not arrive within ${limits.bodyMs} ms`)),
      limits.bodyMs,
    );
    request.on('data', onData);
    request.once('end', () => end());
    request.once('error', (error) => end(badRequest(`reading the body failed: ${error.message}`)));
    request.once('aborted', () => end(badRequest('the client closed the connection before the body ended')));
    request.once('close', () => end(badRequest('the connection closed before the body ended')));
  });
}

function bodyTooLarge(limits: ApiLimits): ApiError {
  return tooLarge(`Request entity too large: limit is ${limits.bodyBytes} bytes`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw badRequest(`the body is not valid UTF-8 (first bad byte at offset ${firstBadByte(bytes)})`);
  }
}

function firstBadByte(bytes: Uint8Array): number {
  const lossy = new TextDecoder().decode(bytes);
  const at = lossy.indexOf('\ufffd');
  return at < 0 ? 0 : Buffer.byteLength(lossy.slice(0, at));
}

const objectTypes = ['application/json', 'application/yaml', protobufType];

/** Parses the body of a create, update or delete. Absent Content-Type means JSON. */
export async function parseObjectBody(
  bytes: Buffer,
  contentType: string | undefined,
  limits: ApiLimits,
): Promise<ParsedBody> {
  const type = mediaType(contentType) || 'application/json';
  if (type === 'application/json') return parseJsonBody(decodeUtf8(bytes), limits);
  if (type === 'application/yaml') return parseYamlOrJson(decodeUtf8(bytes), limits);
  if (type === protobufType) return { value: parseProtobufBody(bytes), duplicates: [] };
  throw unsupportedMediaType(type, objectTypes);
}

export function parseJsonBody(text: string, limits: ApiLimits): ParsedBody {
  if (text.trim() === '') throw badRequest('the body is empty: send one object as JSON');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badRequest(`error parsing JSON: ${(error as Error).message}`);
  }
  const { depth, duplicates } = scanJson(text);
  if (depth > limits.depth) throw badRequest(`nested deeper than ${limits.depth} levels`);
  return { value, duplicates };
}

/** kubectl sends JSON under YAML's name: parsing it as JSON is much faster and gives the same. */
export async function parseYamlOrJson(text: string, limits: ApiLimits): Promise<ParsedBody> {
  if (/^\s*\{/.test(text)) {
    try {
      return parseJsonBody(text, limits);
    } catch (error) {
      // A YAML flow mapping also starts with a brace.
      if (!(error instanceof ApiError) || !error.message.startsWith('error parsing JSON')) throw error;
    }
  }
  return parseYaml(text, limits);
}
