import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiAccess } from '../../kit/kubeconfig.ts';
import { http } from '../../kit/node-http.ts';

/** What an API server refused, as its Status object says. */
export class ApiError extends CodedError {
  /** HTTP status. */
  readonly status: number;
  readonly details: StatusDetails;

  constructor(status: number, reason: string, message: string, details: StatusDetails = {}) {
    super(reason, message);
    this.name = 'ApiError';
    this.status = status;
    this.details = details;
  }
}

/** `details` of a Kubernetes Status. */
export interface StatusDetails {
  readonly kind?: string;
  readonly name?: string;
  readonly causes?: readonly {
    readonly reason?: string;
    readonly message?: string;
    readonly field?: string;
  }[];
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly accept?: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface ApiResponse {
  readonly status: number;
  readonly json: unknown;
  readonly warnings: readonly string[];
}

/** Answers larger than this are refused. */
const maxResponseBytes = 512 * 1024 * 1024;

/** A small client of the Kubernetes REST dialect. Connections are kept and reused. */
export class ApiClient {
  readonly access: ApiAccess;
  readonly #base: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(access: ApiAccess) {
    this.access = access;
    this.#base = new URL(access.server);
    this.#agent =
      this.#base.protocol === 'https:'
        ? new HttpsAgent({
            keepAlive: true,
            maxSockets: 8,
            rejectUnauthorized: !access.insecure,
            ...(access.ca ? { ca: access.ca } : {}),
            ...(access.certificate ? { cert: access.certificate } : {}),
            ...(access.key ? { key: access.key } : {}),
          })
        : new http.Agent({ keepAlive: true, maxSockets: 8 });
  }

  /** Resolves with a 2xx answer. Rejects with `ApiError` for any other, with `ApiUnreachable` when there is none. */
  async request(request: ApiRequest): Promise<ApiResponse> {
    const response = await this.#open(request);
    const text = await readAll(response);
    const status = response.statusCode ?? 0;
    let json: unknown;
    try {
      json = text === '' ? undefined : JSON.parse(text);
    } catch {
      json = text;
    }
    if (status < 200 || status > 299) throw statusError(status, json, request.path);
    return { status, json, warnings: warningsOf(response) };
  }

  /** GET, typed by the caller. */
  async get<T>(path: string, options: Omit<ApiRequest, 'path'> = {}): Promise<T> {
    return (await this.request({ ...options, path })).json as T;
  }

  /** Server-side apply. `subresource` such as `status`. */
  apply(
    path: string,
    object: unknown,
    options: {
      fieldManager: string;
      force?: boolean;
      dryRun?: boolean;
      subresource?: string;
      signal?: AbortSignal;
    },
  ): Promise<ApiResponse> {
    const query = new URLSearchParams({ fieldManager: options.fieldManager, fieldValidation: 'Strict' });
    if (options.force) query.set('force', 'true');
    if (options.dryRun) query.set('dryRun', 'All');
    const suffix = options.subresource === undefined ? '' : `/${options.subresource}`;
    return this.request({
      method: 'PATCH',
      path: `${path}${suffix}?${query}`,
      body: object,
      // JSON is YAML.
      contentType: 'application/apply-patch+yaml',
      ...(options.signal ? { signal: options.signal } : {}),
    });
  }

  /** The lines of a streamed answer (watch) as JSON, until the server or the signal ends it. */
  async *stream(path: string, signal: AbortSignal, accept?: string): AsyncGenerator<unknown> {
    const response = await this.#open({ path, signal, timeoutMs: 0, ...(accept ? { accept } : {}) });
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw statusError(status, tryParse(await readAll(response)), path);
    let rest = '';
    response.setEncoding('utf8');
    try {
      for await (const chunk of response) {
        rest += chunk;
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line.trim() !== '') yield JSON.parse(line);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #open(request: ApiRequest): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#send(request);
      } catch (error) {
        // The server closed an idle connection at the moment in which we reused it: nothing of the request was looked at.
        // A POST is not sent twice all the same.
        const mayRepeat = attempt < 3 && request.method !== 'POST' && !request.signal?.aborted;
        if (!(mayRepeat && error instanceof StaleConnection)) throw errorBehind(error);
      }
  }

  #send({
    method = 'GET',
    path,
    body,
    contentType,
    accept,
    timeoutMs = 30_000,
    signal,
  }: ApiRequest): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string | number> = {
      accept: accept ?? 'application/json',
      'user-agent': 'ostria',
    };
    if (payload) {
      headers['content-type'] = contentType ?? 'application/json';
      headers['content-length'] = payload.length;
    }
    if (this.access.token) headers.authorization = `Bearer ${this.access.token}`;
    const limits = [signal, timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined].filter(
      (value) => value !== undefined,
    );
    const send = this.#base.protocol === 'https:' ? httpsRequest : http.request;
    return new Promise((resolve, reject) => {
      const outgoing = send(
        new URL(path, this.#base),
        {
          method,
          headers,
          agent: this.#agent,
          ...(limits.length > 0 ? { signal: AbortSignal.any(limits) } : {}),
        },
        resolve,
      );
      outgoing.once('error', (error) => {
        const unreachable = this.#unreachable(error, signal, timeoutMs);
        const stale = outgoing.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
        reject(stale ? new StaleConnection(unreachable) : unreachable);
      });
      outgoing.end(payload);
    });
  }

  #unreachable(error: Error, signal: AbortSignal | undefined, timeoutMs: number): Error {
    if (signal?.aborted) return error;
    const why =
      error.name === 'TimeoutError' || error.name === 'AbortError'
        ? `no answer within ${timeoutMs} ms`
        : error.message;
    return new CodedError(
      'ApiUnreachable',
      `the API server ${this.access.server} (${this.access.source}) cannot be reached: ${why}`,
      { cause: error },
    );
  }
}

/** A kept connection was reset before an answer came. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

function errorBehind(error: unknown): unknown {
  return error instanceof StaleConnection ? error.cause : error;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxResponseBytes)
      throw new CodedError(
        'ApiAnswerTooLarge',
        `the API server’s answer is larger than ${maxResponseBytes} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface Status {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: StatusDetails;
}

function statusError(status: number, json: unknown, path: string): ApiError {
  const body = (typeof json === 'object' && json !== null ? json : {}) as Status;
  const message =
    body.message ?? (typeof json === 'string' && json !== '' ? json.trim() : `${path} answers ${status}`);
  return new ApiError(status, body.reason || `Http${status}`, message, body.details ?? {});
}

/** Texts of `Warning: 299 - "…"` headers (RFC 9111, as Kubernetes sends them). */
function warningsOf(response: IncomingMessage): string[] {
  const header = response.headersDistinct.warning ?? [];
  return header.flatMap((value) =>
    [...value.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text.replace(/\\(.)/g, '$1')),
  );
}
