import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonValue } from '@bufbuild/protobuf';
import { isAlive, type ProcessId, processId, signalProcess } from '../../src/kit/process-id.ts';
import { adminRequest, envoyPath } from './envoy.ts';
import { type FakeControlPlane, SERVER_NAME } from './fake-control-plane.ts';
import { freePorts } from './ports.ts';
import { waitFor } from './wait-for.ts';

const MAIN = join(import.meta.dirname, '../../src/agent/main.ts');

export interface TestWorkload {
  readonly name: string;
  readonly stateDirectory: string;
  readonly ports: { readiness: number; metrics: number };
  /** The agent's stderr so far, of all its lives. */
  log(): string;
  agentId(): ProcessId;
  envoyId(): ProcessId;
  /** Starts an agent (again). */
  start(): Promise<void>;
  ready(): Promise<void>;
  readiness(): Promise<{ status: number; text: string }>;
  admin(path: string): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code of the present agent. */
  exited(): Promise<number | null>;
  /** Ends whatever runs still. */
  cleanUp(): Promise<void>;
}

/** A workload's agent as a process of its own, with a real Envoy. */
export async function createWorkload(
  controlPlane: Pick<FakeControlPlane, 'directory' | 'port' | 'rootFile' | 'joinToken'>,
  name: string,
  overrides: Record<string, unknown> = {},
  command: readonly string[] = [MAIN],
): Promise<TestWorkload> {
  const directory = join(controlPlane.directory, name);
  const stateDirectory = join(directory, 'state');
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const [readiness = 0, metrics = 0] = await freePorts(2);
  const config = {
    workload: `${name}-1`,
    namespace: 'default',
    serviceAccount: name,
    labels: { app: name, version: 'v1' },
    stateDirectory,
    controlPlane: {
      address: `127.0.0.1:${controlPlane.port}`,
      serverName: SERVER_NAME,
      rootFile: controlPlane.rootFile,
    },
    credential: { joinTokenFile: '' },
    envoy: { path: await envoyPath() },
    drain: { seconds: 10, minimumSeconds: 1 },
    ...overrides,
    ports: { readiness, metrics, ...(overrides.ports as object | undefined) },
  };
  const configFile = join(directory, 'agent.json');
  let child: ChildProcess | undefined;
  let text = '';
  const envoyId = () =>
    JSON.parse(readFileSync(join(stateDirectory, 'envoy-process.json'), 'utf8')) as ProcessId;
  const seen = new Map<number, ProcessId>();
  const remember = () => {
    try {
      seen.set(envoyId().pid, envoyId());
    } catch {
      // None was started yet.
    }
  };
  const workload: TestWorkload = {
    name,
    stateDirectory,
    ports: { readiness, metrics },
    log: () => text,
    agentId: () => processId(child?.pid ?? 0) ?? { pid: child?.pid ?? 0, startTime: 0 },
    envoyId,
    async start() {
      remember();
      // As the supervisor does: a fresh token at each start.
      config.credential.joinTokenFile = controlPlane.joinToken(config.serviceAccount);
      writeFileSync(configFile, JSON.stringify(config));
      child = spawn(process.execPath, [...command, '--config', configFile], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      await new Promise<void>((resolve, reject) => child?.once('spawn', resolve).once('error', reject));
    },
    async readiness() {
      const response = await fetch(`http://127.0.0.1:${readiness}/healthz/ready`);
      return { status: response.status, text: (await response.text()).trim() };
    },
    async ready() {
      let last = '';
      await waitFor(
        `${name} to be ready`,
        async () => {
          const answer = await workload.readiness();
          last = answer.text;
          return answer.status === 200;
        },
        { timeoutMs: 40_000 },
      ).catch((error: Error) => {
        throw new Error(`${error.message} (${last})\n${text}`);
      });
      remember();
    },
    admin: async (path) => (await adminRequest(join(stateDirectory, 'admin.sock'), path)).body,
    kill: (signal) => {
      child?.kill(signal);
    },
    exited: () =>
      new Promise((resolve) => {
        if (!child || child.exitCode !== null || child.signalCode !== null) resolve(child?.exitCode ?? null);
        else child.once('exit', (code) => resolve(code));
      }),
    async cleanUp() {
      remember();
      child?.kill('SIGKILL');
      await workload.exited();
      remember();
      for (const id of seen.values()) signalProcess(id, 'SIGKILL');
      for (const id of seen.values()) await waitFor('Envoy to end', () => !isAlive(id));
    },
  };
  return workload;
}

/** mTLS inbound listener that forwards to `app`. */
export function inboundResources(
  listen: number,
  app: number,
): { clusters: JsonValue[]; listeners: JsonValue[] } {
  return {
    clusters: [cluster('inbound|80||', app)],
    listeners: [
      {
        name: 'inbound',
        trafficDirection: 'INBOUND',
        address: { socketAddress: { address: '127.0.0.1', portValue: listen } },
        filterChains: [
          {
            filters: [httpManager('inbound', 'inbound|80||')],
            transportSocket: {
              name: 'envoy.transport_sockets.tls',
              typedConfig: {
                '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
                requireClientCertificate: true,
                commonTlsContext: {
                  ...meshSecrets(),
                  combinedValidationContext: {
                    defaultValidationContext: {
                      matchTypedSubjectAltNames: [
                        { sanType: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } },
                      ],
                    },
                    validationContextSdsSecretConfig: secret('ROOTCA'),
                  },
                },
              },
            },
          },
        ],
      },
    ],
  };
}

/** Plaintext outbound listener that calls `peers` (inbound ports) with mTLS. `once`: a new connection for each request. */
export function outboundResources(
  listen: number,
  peers: number | readonly number[],
  peerServiceAccount: string,
  options: { once?: boolean; accessLog?: JsonValue[] } = {},
): { clusters: JsonValue[]; listeners: JsonValue[] } {
  const name = `outbound|80||${peerServiceAccount}.default.svc.cluster.local`;
  return {
    clusters: [
      {
        ...(cluster(name, peers) as Record<string, JsonValue>),
        typedExtensionProtocolOptions: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
            explicitHttpConfig: { http2ProtocolOptions: {} },
            ...(options.once ? { commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } } : {}),
          },
        },
        transportSocket: {
          name: 'envoy.transport_sockets.tls',
          typedConfig: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
            commonTlsContext: {
              alpnProtocols: ['h2'],
              ...meshSecrets(),
              combinedValidationContext: {
                defaultValidationContext: {
                  matchTypedSubjectAltNames: [
                    {
                      sanType: 'URI',
                      matcher: { exact: `spiffe://cluster.local/ns/default/sa/${peerServiceAccount}` },
                    },
                  ],
                },
                validationContextSdsSecretConfig: secret('ROOTCA'),
              },
            },
            // Session resumption would hide whether the certificate is good.
            maxSessionKeys: 0,
          },
        },
      },
    ],
    listeners: [
      {
        name: 'outbound',
        trafficDirection: 'OUTBOUND',
        address: { socketAddress: { address: '127.0.0.1', portValue: listen } },
        filterChains: [{ filters: [httpManager('outbound', name, options.accessLog)] }],
      },
    ],
  };
}

function meshSecrets(): Record<string, JsonValue> {
  return { tlsCertificateSdsSecretConfigs: [secret('default')] };
}

function secret(name: string): JsonValue {
  return {
    name,
    sdsConfig: {
      resourceApiVersion: 'V3',
      initialFetchTimeout: '0s',
      apiConfigSource: {
        apiType: 'GRPC',
        transportApiVersion: 'V3',
        setNodeOnFirstMessageOnly: true,
        grpcServices: [
          {
            envoyGrpc: {
              clusterName: 'sds-grpc',
              retryPolicy: { retryBackOff: { baseInterval: '0.1s', maxInterval: '1s' } },
            },
          },
        ],
      },
    },
  };
}

function cluster(name: string, ports: number | readonly number[]): JsonValue {
  return {
    name,
    type: 'STATIC',
    connectTimeout: '2s',
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [ports].flat().map((port) => ({
            endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue: port } } },
          })),
        },
      ],
    },
  };
}

function httpManager(prefix: string, target: string, accessLog: JsonValue[] = []): JsonValue {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: {
      '@type':
        'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      statPrefix: prefix,
      accessLog,
      routeConfig: {
        name: prefix,
        virtualHosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: target } }] },
        ],
      },
      httpFilters: [
        {
          name: 'envoy.filters.http.router',
          typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
    },
  };
}
