import { existsSync, readdirSync } from 'node:fs';
import { socketPaths } from '../../agent/socket-paths.ts';
import type { CallLogPart } from '../../control-plane/debug/workload-paths.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiAccess } from '../../kit/kubeconfig.ts';
import { type CallRecord, parseCallRecord } from '../../observe/call-record.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { localMeshOf } from '../apply/wait/local-mesh.ts';
import { CallLogReader, callLogFiles } from '../calls/call-log-files.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { askEnvoy } from './envoy-admin-client.ts';

/** The proxies of a mesh: of one on this machine by their sockets and files, of another through the API of its control plane. */
export interface MeshProxies {
  /** Of workloads, sorted. */
  names(): Promise<readonly string[]>;
  /** What Envoy's admin interface answers. Throws `EnvoyUnreachable`, `EnvoyRefused`. */
  ask(name: string, page: string, options?: { method?: 'GET' | 'POST'; timeoutMs?: number }): Promise<string>;
  /** The calls that were recorded since it was asked last; the first time, all there are. */
  newCalls(): Promise<CallRecord[]>;
}

/** Of the mesh that an API server belongs to. */
export function proxiesOf(access: ApiAccess, client: ApiClient): MeshProxies {
  const paths = localMeshOf(access);
  return paths ? localProxies(paths) : remoteProxies(client);
}

/** Of a mesh of this machine, whether its control plane runs or not. */
export function localProxies(paths: StatePaths): MeshProxies {
  const readers = new Map<string, CallLogReader>();
  return {
    names: async () => (existsSync(paths.workloads) ? readdirSync(paths.workloads).sort() : []),
    ask: (name, page, { method = 'GET', timeoutMs = 15_000 } = {}) =>
      askEnvoy(socketPaths(paths.workload(name)).admin, page, timeoutMs, method),
    newCalls: async () => {
      for (const file of callLogFiles(paths))
        readers.set(file.path, readers.get(file.path) ?? new CallLogReader(file));
      return [...readers.values()].flatMap((one) => one.read());
    },
  };
}

/** Workloads asked at a time. */
const inFlight = 4;

function remoteProxies(client: ApiClient): MeshProxies {
  const positions = new Map<string, number>();
  const get = async <T>(path: string, query: Record<string, string>): Promise<T> => {
    try {
      return await client.get<T>(`${path}?${new URLSearchParams(query)}`, { timeoutMs: 60_000 });
    } catch (error) {
      throw ofRemote(error, client);
    }
  };
  const names = () => get<readonly string[]>('/debug/workloads', {});
  return {
    names,
    ask: async (name, page, { method = 'GET' } = {}) => {
      const query = { workload: name, page };
      if (method === 'GET' || page === '/logging')
        return (await get<{ text: string }>('/debug/envoy', query)).text;
      try {
        const { json } = await client.request({
          method: 'POST',
          path: `/debug/envoy?${new URLSearchParams(query)}`,
        });
        return (json as { text: string }).text;
      } catch (error) {
        throw ofRemote(error, client);
      }
    },
    newCalls: async () => {
      const found: CallRecord[] = [];
      const read = async (workload: string, older: boolean): Promise<void> => {
        const key = `${workload} ${older}`;
        const from = positions.get(key);
        // What is older is complete.
        if (older && from !== undefined) return;
        const part = await get<CallLogPart>('/debug/calls', {
          workload,
          ...(older ? { older: 'true' } : {}),
          ...(from === undefined ? {} : { from: String(from) }),
        });
        positions.set(key, part.next);
        for (const line of part.text.split('\n')) {
          const record = parseCallRecord(line, workload);
          if (record) found.push(record);
        }
      };
      const waiting = [...(await names())];
      const work = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          await read(next, true);
          await read(next, false);
        }
      };
      await Promise.all(Array.from({ length: inFlight }, work));
      return found;
    },
  };
}

function ofRemote(error: unknown, client: ApiClient): unknown {
  if (!(error instanceof ApiError) || error.status !== 404 || /runs on the machine/.test(error.message))
    return error;
  return new CodedError(
    'EnvoyUnreachable',
    `${client.access.server} does not let Envoys be asked: its control plane is older, or no mesh of ostria up`,
    { cause: error },
  );
}

/**
 * The workload that a user names as istioctl's users do: `reviews-v1-0`, `reviews-v1-0.default`, a workload with one replica
 * (`reviews-v1`), or a unique beginning. Throws `WorkloadUnknown`, listing what there is.
 */
export function findProxyName(known: readonly string[], name: string): string {
  const bare = name.replace(/^pod\//, '').split('.')[0] ?? name;
  const exact = known.filter((candidate) => candidate === name || candidate === bare);
  const found =
    exact.length > 0
      ? exact
      : known.filter((candidate) => candidate.startsWith(`${bare}-`) || candidate.startsWith(bare));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new CodedError(
    'WorkloadUnknown',
    found.length > 1
      ? `${name} can be ${found.join(', ')}; name one of them`
      : `there is no workload ${name} in this mesh; there are ${known.join(', ') || 'none'}`,
  );
}
