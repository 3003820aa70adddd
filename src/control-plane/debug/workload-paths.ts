import { existsSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createEnvoyAdmin } from '../../agent/envoy-admin.ts';
import { socketPaths } from '../../agent/socket-paths.ts';
import type { User } from '../../config/access/user.ts';
import type { SystemAction, SystemPath } from '../../config/api-server/handlers/system-paths.ts';
import { ApiError } from '../../config/api-server/status.ts';
import { observeKey } from '../../features/telemetry/access-log/call-log.ts';
import { messageOf } from '../../kit/coded-error.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import { isVisible } from './debug-page.ts';
import { scopeOfUser } from './pod-connections.ts';

/** Pages of Envoy's admin interface that tell and change nothing. */
const readable =
  /^\/(?:config_dump(?:\?include_eds)?|clusters\?format=json|listeners\?format=json|certs|server_info|logging|stats\?(?:usedonly|filter=[\w%.:|()*^$\\-]{1,500}))$/;
/** What may be changed: log levels, and how many of the calls are recorded. */
const changing = new RegExp(
  `^/(?:logging\\?(?:level=[a-z]+|paths=[\\w%.:,/-]{1,2000})|runtime_modify\\?${observeKey}=(?:\\d{1,3})?)$`,
);
const askMs = 15_000;
const mostAnswered = 256 * 1024 * 1024;
/** Of a log of calls, in one answer, bytes. */
const mostRead = 8 * 1024 * 1024;

export interface WorkloadPathsOptions {
  /** Directory of the workloads that run on this machine, one directory each; undefined: none do. */
  readonly workloads: string | undefined;
  readonly proxies: () => ReadonlyMap<string, MeshProxy>;
  readonly rootNamespace: () => string;
}

/** A stretch of a workload's log of calls. */
export interface CallLogPart {
  /** Complete lines. */
  readonly text: string;
  /** Where the next part begins; of which file is the reader's to give back. */
  readonly next: number;
}

/**
 * What people on other machines are told of the workloads on this one: the admin pages of their Envoys, which listen on private sockets, and
 * their logs of calls. A service account sees its own namespace.
 */
export function workloadPaths(options: WorkloadPathsOptions): Readonly<Record<string, SystemPath>> {
  return {
    /** The workloads, by name. */
    '/debug/workloads': (_query, user) => known(options).filter((name) => isShown(options, name, user)),
    /** `?workload=NAME&page=/config_dump?include_eds`: `{text}`, what Envoy answers. */
    '/debug/envoy': (query, user) => {
      const page = query.get('page') ?? '';
      if (!readable.test(page)) throw badRequest(`page=${page.slice(0, 200)} is not shown here`);
      const directory = directoryOf(options, query, user);
      // Envoy tells its log levels on a POST only.
      return ask(directory, page, page === '/logging' ? 'POST' : 'GET');
    },
    /** `?workload=NAME[&older=true][&from=BYTES]`: a `CallLogPart`; without `from`, of the end. `older`: of the file before. */
    '/debug/calls': (query, user) => {
      const file = query.get('older') === 'true' ? 'envoy.log.1' : 'envoy.log';
      const from = query.get('from');
      if (from !== null && !/^\d{1,15}$/.test(from)) throw badRequest('from must be a number of bytes');
      return readPart(
        join(directoryOf(options, query, user), file),
        from === null ? undefined : Number(from),
      );
    },
  };
}

/** What people on other machines may change of an Envoy. */
export function workloadActions(options: WorkloadPathsOptions): Readonly<Record<string, SystemAction>> {
  return {
    /** `?workload=NAME&page=/logging?level=debug`: `{text}`. */
    '/debug/envoy': (query) => {
      const page = query.get('page') ?? '';
      if (!changing.test(page)) throw badRequest(`page=${page.slice(0, 200)} cannot be changed here`);
      return ask(directoryOf(options, query), page, 'POST');
    },
  };
}

function known({ workloads }: WorkloadPathsOptions): string[] {
  return workloads !== undefined && existsSync(workloads) ? readdirSync(workloads).sort() : [];
}

function isShown(options: WorkloadPathsOptions, name: string, user: User): boolean {
  const scope = scopeOfUser(user, options.rootNamespace());
  if (scope.namespace === undefined) return true;
  // Pods of two namespaces may have one name; on one machine they cannot.
  const namespaces = [...options.proxies().values()].filter((one) => one.name === name);
  return namespaces.length > 0 && namespaces.every(({ namespace }) => isVisible(scope, namespace));
}

/** `user` absent: one who may change things sees everything. */
function directoryOf(options: WorkloadPathsOptions, query: URLSearchParams, user?: User): string {
  const name = query.get('workload') ?? '';
  const isThere = known(options).includes(name) && (user === undefined || isShown(options, name, user));
  if (isThere && options.workloads !== undefined) return join(options.workloads, name);
  throw new ApiError(
    404,
    'NotFound',
    `no workload ${name.slice(0, 200)} runs on the machine of this control plane`,
  );
}

async function ask(directory: string, page: string, method: 'GET' | 'POST'): Promise<{ text: string }> {
  const admin = createEnvoyAdmin(socketPaths(directory).admin);
  let answer: { status: number; body: string };
  try {
    answer = await admin.call(page, { method, timeoutMs: askMs, maxBytes: mostAnswered });
  } catch (error) {
    throw new ApiError(503, 'ServiceUnavailable', `Envoy does not answer: ${messageOf(error)}`);
  }
  if (answer.status === 200) return { text: answer.body };
  throw badRequest(`Envoy answers ${page} with ${answer.status}: ${answer.body.slice(0, 2_000).trim()}`);
}

async function readPart(path: string, from: number | undefined): Promise<CallLogPart> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return { text: '', next: 0 };
  try {
    const { size } = await file.stat();
    // A file that was cut begins anew.
    const wanted = from === undefined ? Math.max(0, size - mostRead) : from > size ? 0 : from;
    const buffer = Buffer.alloc(Math.min(size - wanted, mostRead));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, wanted);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
    return { text: buffer.toString('utf8', 0, end), next: wanted + end };
  } finally {
    await file.close();
  }
}

function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}
