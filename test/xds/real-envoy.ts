import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, type DescMessage, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { RouterSchema } from '../../gen/proto/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { findEnvoy } from '../../src/agent/envoy-binary.ts';
import { type Resource, type ResourceHints, typeUrls } from '../../src/snapshot/resource.ts';
import { until } from './fake-envoy.ts';
import { makeResource } from './scripted-source.ts';

const registry = createRegistry(HttpConnectionManagerSchema, RouterSchema);

function fromMessage(
  typeUrl: string,
  schema: DescMessage,
  name: string,
  json: JsonValue,
  hints?: ResourceHints,
): Resource {
  return makeResource(typeUrl, name, toBinary(schema, fromJson(schema, json, { registry })), hints);
}

const ads = { ads: {}, resourceApiVersion: 'V3' };

/** Resources that a real Envoy takes. */
export const real = {
  listener: (port: number, routeConfig: string): Resource =>
    fromMessage(typeUrls.listener, ListenerSchema, `in-${port}`, {
      name: `in-${port}`,
      address: { socketAddress: { address: '127.0.0.1', portValue: port } },
      filterChains: [
        {
          filters: [
            {
              name: 'http',
              typedConfig: {
                '@type':
                  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                statPrefix: 'in',
                rds: { routeConfigName: routeConfig, configSource: ads },
                httpFilters: [
                  {
                    name: 'router',
                    typedConfig: {
                      '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                    },
                  },
                ],
              },
            },
          ],
        },
      ],
    }),
  route: (name: string, stamp = '', vhds = true): Resource =>
    fromMessage(typeUrls.route, RouteConfigurationSchema, name, {
      name,
      ...(vhds ? { vhds: { configSource: ads } } : {}),
      validateClusters: false,
      responseHeadersToAdd: stamp === '' ? [] : [{ header: { key: 'x-stamp', value: stamp } }],
      virtualHosts: [
        {
          name: 'unknown',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, directResponse: { status: 404 } }],
        },
      ],
    }),
  host: (routeConfig: string, domain: string, cluster: string): Resource =>
    fromMessage(
      typeUrls.virtualHost,
      VirtualHostSchema,
      `${routeConfig}/${domain}`,
      {
        name: `${routeConfig}/${domain}`,
        domains: [domain],
        routes: [{ match: { prefix: '/' }, route: { cluster } }],
      },
      { clusters: [cluster] },
    ),
  cluster: (name: string, extra: Record<string, JsonValue> = {}, hints: ResourceHints = {}): Resource =>
    fromMessage(
      typeUrls.cluster,
      ClusterSchema,
      name,
      { name, type: 'EDS', connectTimeout: '1s', edsClusterConfig: { edsConfig: ads }, ...extra },
      { eds: true, ...hints },
    ),
  endpoints: (name: string, ports: readonly number[]): Resource =>
    fromMessage(typeUrls.endpoints, ClusterLoadAssignmentSchema, name, {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: ports.map((portValue) => ({
            endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue } } },
          })),
        },
      ],
    }),
};

export interface RealEnvoy {
  /** GET on the admin interface. */
  admin(path: string): Promise<string>;
  /** One counter or gauge; 0 if absent. */
  stat(name: string): Promise<number>;
  stop(): Promise<void>;
}

/** Starts Envoy with a static bootstrap that asks our server for everything over ADS. */
export async function startEnvoy(
  xdsPort: number,
  options: { delta?: boolean; id?: string; logLevel?: string } = {},
): Promise<RealEnvoy> {
  const binary = await findEnvoy();
  const directory = await mkdtemp(join(tmpdir(), 'ostria-xds-'));
  const adminFile = join(directory, 'admin');
  const configFile = join(directory, 'envoy.json');
  await writeFile(configFile, JSON.stringify(bootstrap(xdsPort, options)));
  const child = spawn(
    binary.path,
    [
      '-c',
      configFile,
      '--admin-address-path',
      adminFile,
      '--concurrency',
      '1',
      '--use-dynamic-base-id',
    ].concat(['--log-level', options.logLevel ?? 'warning']),
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-100_000);
  });
  const admin = async (path: string): Promise<string> => {
    const address = (await readFile(adminFile, 'utf8')).trim();
    return (await fetch(`http://${address}${path}`)).text();
  };
  try {
    await waitReady(admin, child);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`Envoy did not become ready: ${String(error)}\n${log.slice(-4_000)}`);
  }
  return {
    admin,
    async stat(name) {
      const text = await admin(`/stats?filter=^${name.replaceAll('.', '[.]')}$`);
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
    async stop() {
      child.kill('SIGKILL');
      await until(() => child.exitCode !== null || child.signalCode !== null, 5_000);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function waitReady(admin: (path: string) => Promise<string>, child: ChildProcess): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    try {
      if ((await admin('/ready')).trim() === 'LIVE') return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('10 s are over');
}

function bootstrap(xdsPort: number, options: { delta?: boolean; id?: string }): JsonValue {
  return {
    node: {
      id: options.id ?? 'sidecar~127.0.0.1~real.default~default.svc.cluster.local',
      cluster: 'real',
      metadata: { NAMESPACE: 'default' },
    },
    admin: { address: { socketAddress: { address: '127.0.0.1', portValue: 0 } } },
    dynamicResources: {
      adsConfig: {
        apiType: options.delta === false ? 'GRPC' : 'DELTA_GRPC',
        transportApiVersion: 'V3',
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ envoyGrpc: { clusterName: 'xds' } }],
      },
      cdsConfig: ads,
      ldsConfig: ads,
    },
    staticResources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connectTimeout: '1s',
          typedExtensionProtocolOptions: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicitHttpConfig: { http2ProtocolOptions: {} },
            },
          },
          loadAssignment: {
            clusterName: 'xds',
            endpoints: [
              {
                lbEndpoints: [
                  {
                    endpoint: {
                      address: { socketAddress: { address: '127.0.0.1', portValue: xdsPort } },
                    },
                  },
                ],
              },
            ],
          },
        },
      ],
    },
  };
}
