import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigObject } from '../../config/object.ts';
import type { ExportedHistory } from '../../control-plane/history/export-history.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { hashText } from '../../kit/hash.ts';
import type { ProxyStatus } from '../../xds/ledger.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import type { ApiClient } from '../api/api-client.ts';
import { discover } from '../api/discovery.ts';
import { type Check, skipped } from '../doctor/check.ts';
import { machineChecks } from '../doctor/machine-checks.ts';
import { askControlPlane, meshChecks } from '../doctor/mesh-checks.ts';
import { appliedObjects, createLocator } from '../origins/locate.ts';
import { ostriaVersion } from '../programs.ts';
import { localProxies, proxiesOf } from '../proxy/mesh-proxies.ts';
import { proxyName } from '../proxy/proxy-name.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { callControl } from '../supervisor/control-socket.ts';
import { redactObject, redactText, redactValue } from './redact.ts';
import { type ReportFiles, type ReportHead, reportFormat } from './report-file.ts';
import { redactHistory } from './report-history.ts';
import { placesOfServer, reportPlaces } from './report-positions.ts';

/** The end of each log that is taken, bytes. */
const logBytes = 1024 * 1024;
/** Most of one file that is not a log, bytes. */
const fileBytes = 64 * 1024 * 1024;
/** Most in all before compression, bytes. */
const allBytes = 400 * 1024 * 1024;

/** Pages of the API, by their file in the report. */
export const reportPages = [
  ...['syncz', 'revision', 'compile', 'proxies', 'mesh-config', 'ca', 'conflicts', 'listeners'],
  ...['adsz', 'authorizationz', 'configz', 'connections', 'endpointShardz', 'instancesz', 'list', 'mesh'],
  ...[
    'push_status',
    'pushcontext',
    'registryz',
    'resourcesz',
    'telemetryz',
    'clusterz',
    'networkz',
    'mcsz',
    'inject',
  ],
] as const;

/** What Envoy is asked, by the file in the report. */
export const envoyPages: Readonly<Record<string, string>> = {
  'held.json': '/config_dump?include_eds',
  'clusters.json': '/clusters?format=json',
  'server_info.json': '/server_info',
  'certs.json': '/certs',
  'stats.txt': '/stats?usedonly',
  'listeners.json': '/listeners?format=json',
  'logging.txt': '/logging',
};

/** Collects a report of a mesh. What cannot be had is said to be missing, and hinders nothing else. */
export async function collectReport(
  mesh: string,
  client: ApiClient,
  paths: StatePaths | undefined,
  say: (line: string) => void,
): Promise<{ head: ReportHead; files: ReportFiles }> {
  const files = new Map<string, Uint8Array>();
  const leftOut: string[] = [];
  const proxies: Record<string, string> = {};
  let size = 0;
  const put = (name: string, text: string): void => {
    const data = Buffer.from(text);
    if (data.length > fileBytes || size + data.length > allBytes)
      return void leftOut.push(`${name}: too large (${data.length} bytes)`);
    size += data.length;
    files.set(name, data);
  };
  const attempt = async (name: string, work: () => Promise<void> | void): Promise<void> => {
    try {
      await work();
    } catch (error) {
      leftOut.push(`${name}: ${redactText(messageOf(error))}`);
    }
  };
  const putJson = (name: string, value: unknown): void => put(name, JSON.stringify(redactValue(value)));

  say('objects');
  await attempt('objects.json', async () => {
    const objects = await allObjects(client);
    put('objects.json', JSON.stringify(objects.map(redactObject)));
    await attempt('places.json', async () => {
      const ofServer = await placesOfServer(objects, createLocator({ client }));
      const applied = appliedObjects({ paths, server: client.access.server });
      put('places.json', JSON.stringify({ ...ofServer, ...reportPlaces(applied) }));
    });
  });
  say('the past');
  await attempt('history.json', async () => {
    const past = await client.get<ExportedHistory | null>('/debug/history/export', { timeoutMs: 120_000 });
    if (past) put('history.json', JSON.stringify(redactHistory(past)));
  });
  say('the control plane');
  for (const page of reportPages)
    await attempt(`debug/${page}.json`, async () =>
      putJson(`debug/${page}.json`, await client.get(`/debug/${page}`)),
    );
  say('proxies');
  await attempt('proxies', async () => {
    const envoys = paths ? localProxies(paths) : proxiesOf(client.access, client);
    const here = await envoys.names();
    for (const { proxyId } of await client.get<ProxyStatus[]>('/debug/syncz')) {
      const name = proxyName(proxyId);
      const folder = folderOf(name);
      proxies[name] = folder;
      await attempt(`${folder}/sent.json`, async () => {
        const query = new URLSearchParams({ proxyID: proxyId, include_eds: '' });
        putJson(`${folder}/sent.json`, await client.get(`/debug/config_dump?${query}`));
      });
      const [workload = name] = name.split('.');
      if (!here.includes(workload)) {
        leftOut.push(`what the Envoy of ${name} holds: it runs on another machine than its control plane`);
        continue;
      }
      for (const [file, page] of Object.entries(envoyPages))
        await attempt(`${folder}/${file}`, async () => {
          const method = page === '/logging' ? 'POST' : 'GET';
          const answer = await envoys.ask(workload, page, { method });
          if (file.endsWith('.json')) putJson(`${folder}/${file}`, JSON.parse(answer));
          else put(`${folder}/${file}`, redactText(answer));
        });
    }
  });
  if (paths) {
    say('processes and logs');
    await attempt('status.json', async () =>
      putJson('status.json', await callControl(paths.controlSocket, 'status')),
    );
    await attempt('doctor.json', async () =>
      putJson('doctor.json', [...(await machineChecks()), ...(await meshChecks(mesh))]),
    );
    for (const { name, path } of logFiles(paths))
      await attempt(`logs/${name}`, () => put(`logs/${name}`, redactText(endOf(path, logBytes))));
  }
  if (!paths)
    await attempt('doctor.json', async () => {
      const checks: Check[] = [
        skipped(`mesh ${mesh}`, 'machine', 'not looked at: the report was made on another one'),
      ];
      await askControlPlane(checks, `mesh ${mesh}`, client);
      putJson('doctor.json', checks);
    });
  return {
    head: {
      format: reportFormat,
      made: new Date().toISOString(),
      mesh,
      ostria: ostriaVersion(),
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      proxies,
      leftOut,
    },
    files,
  };
}

/** Names of workloads may be longer than the archive's names. */
function folderOf(proxy: string): string {
  const short = proxy.length <= 56 ? proxy : `${proxy.slice(0, 44)}-${hashText(proxy).slice(0, 11)}`;
  return `proxies/${short}`;
}

async function allObjects(client: ApiClient): Promise<ConfigObject[]> {
  // Reviews are asked, not kept.
  const resources = (await discover(client)).filter(
    ({ group }) => !/^auth(entication|orization)\.k8s\.io$/.test(group),
  );
  const kinds = new Set(resources.map(({ kind, group }) => (group === '' ? kind : `${kind}.${group}`)));
  const { sources } = await readMesh(client, kinds);
  return sources.map(({ object }) => object as ConfigObject);
}

function logFiles(paths: StatePaths): { name: string; path: string }[] {
  const inLogs = existsSync(paths.logs)
    ? readdirSync(paths.logs).map((name) => ({ name, path: join(paths.logs, name) }))
    : [];
  const ofEnvoys = (existsSync(paths.workloads) ? readdirSync(paths.workloads) : [])
    .flatMap((name) =>
      ['envoy.log.1', 'envoy.log'].map((file) => ({
        name: `${name}.${file}`,
        path: join(paths.workload(name), file),
      })),
    )
    .filter(({ path }) => existsSync(path));
  return [...inLogs.filter(({ name }) => name.endsWith('.log')), ...ofEnvoys];
}

/** The end of a file, from the start of a line on. */
function endOf(path: string, bytes: number): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const start = Math.max(0, size - bytes);
    const buffer = Buffer.alloc(size - start);
    const read = readSync(file, buffer, 0, buffer.length, start);
    const text = buffer.toString('utf8', 0, read);
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } finally {
    closeSync(file);
  }
}
