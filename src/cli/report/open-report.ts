import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { socketPaths } from '../../agent/socket-paths.ts';
import { openApiPki } from '../../config/access/api-pki.ts';
import { writeKubeconfig } from '../../config/access/kubeconfig.ts';
import { mastersGroup } from '../../config/access/user.ts';
import { createApiServer } from '../../config/api-server/api-server.ts';
import type { SystemPath } from '../../config/api-server/handlers/system-paths.ts';
import { ApiError } from '../../config/api-server/status.ts';
import { resourceName } from '../../config/kind.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../config/object.ts';
import { openEmbeddedStore } from '../../config/store/embedded/embedded-store.ts';
import type { WriteOp } from '../../config/store/store.ts';
import { historyPaths } from '../../control-plane/history/history-paths.ts';
import { makePrivateDirectory, writeFileAtomicSync } from '../../kit/atomic-file.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';
import { processId } from '../../kit/process-id.ts';
import type { ReportedChecks } from '../doctor/check.ts';
import { writeJsonFile } from '../state/json-file.ts';
import { openState, type StatePaths } from '../state/state-directory.ts';
import { serveControl } from '../supervisor/control-socket.ts';
import { envoyPages } from './collect-report.ts';
import { type ReportFiles, type ReportHead, textOf } from './report-file.ts';
import { openReportHistory } from './report-history.ts';

export interface OpenReport {
  /** Environment in which `ostria`, kubectl and istioctl see the report as a mesh that runs here. */
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Objects stored at once. */
const batch = 200;

/**
 * Stands a report up as a mesh: an API server over its objects, in memory, with the pages that were taken, and for each proxy the admin
 * interface as it answered. Every command that reads a mesh reads it, and none of them can tell. Nothing of it outlives `close`.
 */
export async function openReport(head: ReportHead, files: ReportFiles): Promise<OpenReport> {
  const home = mkdtempSync(join(tmpdir(), 'ostria-open-'));
  const stops: (() => unknown)[] = [() => rmSync(home, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    const paths = openState(join(home, head.mesh));
    const store = openEmbeddedStore({ path: ':memory:' });
    stops.push(() => store.close());
    const kinds = createBuiltInRegistry();
    const objects = JSON.parse(textOf(files, 'objects.json') ?? '[]') as ConfigObject[];
    const ops = objects.flatMap((object): WriteOp[] => {
      const [group = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : [''];
      const kind = kinds.byKind(group, object.kind);
      if (!kind) return [];
      const { namespace = '', name } = object.metadata;
      const { resourceVersion: _old, ...metadata } = object.metadata;
      return [
        {
          type: 'put',
          ref: { resource: resourceName(kind), namespace, name },
          object: { ...object, metadata },
        },
      ];
    });
    for (let at = 0; at < ops.length; at += batch) await store.commit(ops.slice(at, at + batch));
    const pki = await openApiPki({ directory: join(paths.directory, 'api') });
    const past = textOf(files, 'history.json');
    makePrivateDirectory(paths.controlPlane);
    const pages = {
      ...pagesOf(head, files),
      ...(past === undefined
        ? {}
        : historyPaths(await openReportHistory(paths.controlPlane, JSON.parse(past)))),
    };
    const api = await createApiServer({ store, kinds, pki, paths: pages, namespaces: [] });
    stops.push(() => api.close());
    await writeKubeconfig(paths.kubeconfig, {
      server: api.url,
      authorityPem: pki.authorityPem,
      credential: await pki.issueClient({ user: 'admin', groups: [mastersGroup] }),
    });
    writeLogs(files, paths);
    writeFileAtomicSync(paths.reportedPlaces, textOf(files, 'places.json') ?? '{}');
    writeJsonFile(paths.reportedChecks, {
      made: head.made,
      platform: head.platform,
      checks: JSON.parse(textOf(files, 'doctor.json') ?? '[]'),
    } satisfies ReportedChecks);
    for (const [proxy, folder] of Object.entries(head.proxies)) {
      const directory = paths.workload(proxy.split('.')[0] ?? proxy);
      makePrivateDirectory(directory);
      const server = await serveAdmin(socketPaths(directory).admin, folder, files);
      stops.push(() => server.close());
    }
    const status = JSON.parse(textOf(files, 'status.json') ?? 'null') as unknown;
    const control = await serveControl(paths.controlSocket, {
      status: () => {
        if (status === null) throw new CodedError('NotInReport', 'the report holds no status of processes');
        return status;
      },
    });
    stops.push(() => control.close());
    writeJsonFile(paths.supervisor, processId(process.pid));
    return {
      environment: { OSTRIA_HOME: home, OSTRIA_MESH: head.mesh, KUBECONFIG: paths.kubeconfig },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Pages as they were, by their paths. */
function pagesOf(head: ReportHead, files: ReportFiles): Record<string, SystemPath> {
  const pages: Record<string, SystemPath> = {
    '/debug/config_dump': (query) => {
      const id = query.get('proxyID') ?? '';
      const name = id.split('~')[2] ?? id;
      const dump = textOf(files, `${head.proxies[name] ?? ''}/sent.json`);
      if (dump === undefined)
        throw new ApiError(404, 'NotFound', `the report holds nothing of a proxy ${name}`);
      return JSON.parse(dump);
    },
  };
  for (const name of files.keys()) {
    const page = /^debug\/([\w-]+)\.json$/.exec(name)?.[1];
    if (page !== undefined) pages[`/debug/${page}`] = () => JSON.parse(textOf(files, name) ?? 'null');
  }
  return pages;
}

/** Envoy's admin interface as it answered when the report was made. */
function serveAdmin(path: string, folder: string, files: ReportFiles): Promise<Server> {
  const server = http.createServer((request, response) => {
    const asked = request.url ?? '/';
    if (isChange(request.method ?? 'GET', asked)) {
      response.statusCode = 405;
      response.end('this is a report: what ran cannot be changed by it\n');
      return;
    }
    const pathname = asked.split('?')[0];
    const file =
      Object.entries(envoyPages).find(([, page]) => page === asked)?.[0] ??
      Object.entries(envoyPages).find(([, page]) => page.split('?')[0] === pathname)?.[0];
    const text = file === undefined ? undefined : textOf(files, `${folder}/${file}`);
    response.statusCode = text === undefined ? 404 : 200;
    response.end(text ?? `the report does not hold ${folder} ${asked}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

/** Envoy's log levels are read by a POST too. */
function isChange(method: string, asked: string): boolean {
  return method !== 'GET' && asked !== '/logging';
}

/** Logs where commands look for them: those of Envoys, which tell of calls, stand beside the state of their workloads. */
function writeLogs(files: ReportFiles, paths: StatePaths): void {
  for (const [name, data] of files) {
    const log = /^logs\/([^/]+)$/.exec(name)?.[1];
    if (log === undefined) continue;
    const [, workload, file] = /^(.+)\.(envoy\.log(?:\.1)?)$/.exec(log) ?? [];
    const path =
      workload === undefined || file === undefined
        ? join(paths.logs, log)
        : join(paths.workload(workload), file);
    makePrivateDirectory(dirname(path));
    writeFileSync(path, data, { mode: 0o600 });
  }
}
