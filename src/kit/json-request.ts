import type { IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { readBounded } from './bounded-body.ts';
import { CodedError, messageOf } from './coded-error.ts';
import type { ApiAccess } from './kubeconfig.ts';

/** What a connection to a server that the operator named is made with. PEM texts. */
export interface ServerAccess {
  /** Roots that the server's certificate must come from. Default: Node's own. */
  readonly ca?: string;
  /** Client certificate and its key. */
  readonly certificate?: string;
  readonly key?: string;
  /** Bearer token. */
  readonly token?: string;
  /** Name that the server's certificate must carry. Default: the URL's host. */
  readonly serverName?: string;
}

export interface JsonRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `https://…`. */
  readonly url: string;
  readonly access?: ServerAccess;
  readonly body?: unknown;
  /** Connection and answer, in ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Longest answer taken, in bytes. Default 1 MiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  /** undefined: the answer is no JSON. */
  readonly json: unknown;
}

/**
 * One JSON question to a server that the operator's own settings name (what objects name goes through `guardedFetch`). Every status
 * is an answer; redirects are not followed. Throws a CodedError `RequestFailed` where there is no answer.
 */
export async function requestJson(request: JsonRequest): Promise<JsonAnswer> {
  const { timeoutMs = 10_000, maxBytes = 1 << 20 } = request;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
  const url = URL.canParse(request.url) ? new URL(request.url) : undefined;
  if (url?.protocol !== 'https:') throw failed(`${request.url.slice(0, 200)} is no https:// URL`);
  try {
    const response = await send(url, request, signal);
    return {
      status: response.statusCode ?? 0,
      json: parse((await readBounded(response, maxBytes, (message) => new Error(message))).toString('utf8')),
    };
  } catch (error) {
    const why = timeout.aborted ? `no answer within ${timeoutMs / 1000} s` : messageOf(error);
    throw failed(`${url.host}: ${why || (error as NodeJS.ErrnoException).code}`);
  }
}

/** The connection that a kubeconfig describes. */
export function accessOf({ ca, certificate, key, token }: ApiAccess): ServerAccess {
  return {
    ...(ca ? { ca } : {}),
    ...(certificate && key ? { certificate, key } : {}),
    ...(token ? { token } : {}),
  };
}

function send(
  url: URL,
  { method, body, access = {} }: JsonRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const options: RequestOptions = {
    method,
    signal,
    agent: false,
    minVersion: 'TLSv1.2',
    headers: {
      accept: 'application/json',
      'user-agent': 'ostria',
      ...(text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...(access.token === undefined ? {} : { authorization: `Bearer ${access.token}` }),
    },
    ...(access.ca === undefined ? {} : { ca: access.ca }),
    ...(access.certificate === undefined ? {} : { cert: access.certificate, key: access.key }),
    ...(access.serverName === undefined ? {} : { servername: access.serverName }),
  };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, options);
    request.on('response', resolve);
    request.on('error', reject);
    request.end(text);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function failed(message: string): CodedError {
  return new CodedError('RequestFailed', message);
}
