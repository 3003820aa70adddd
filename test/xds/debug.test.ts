// Istio's debug types on the xDS port: nobody is answered without proof, and nobody learns of another namespace's proxies. Both were
// holes of Istio's own (security bulletins of 2026).
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { afterEach, expect, test } from 'vitest';
import { SecretsConfigDumpSchema } from '../../gen/proto/envoy/admin/v3/config_dump_pb.js';
import { ClustersConfigDumpSchema } from '../../gen/proto/envoy/admin/v3/config_dump_shared_pb.js';
import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { SecretSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { ClientConfigSchema, ConfigStatus } from '../../gen/proto/envoy/service/status/v3/csds_pb.js';
import { createDebugPages, type DebugParts } from '../../src/control-plane/debug/create-pages.ts';
import { xdsDebug } from '../../src/control-plane/debug/xds-debug.ts';
import { originMetadata } from '../../src/envoy/pack.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { type MeshProxy, parseProxy } from '../../src/snapshot/proxy.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { World } from '../../src/snapshot/world.ts';
import type { Authenticate } from '../../src/xds/authenticate.ts';
import type { DebugService } from '../../src/xds/debug-stream.ts';
import { DeltaClient, SotwClient } from './fake-envoy.ts';
import { type Harness, startHarness } from './harness.ts';
import { makeResource } from './scripted-source.ts';

const debugType = 'istio.io/debug';
const secretKey = 'the private key of somebody';

/** `Bearer NAMESPACE/ACCOUNT` proves just that; without it a caller has proved nothing. */
const authenticate: Authenticate & DebugService['authenticate'] = ({ bearerToken }) => {
  if (bearerToken === 'bad') return { ok: false, error: 'no such token' };
  const [namespace, serviceAccount] = bearerToken?.split('/') ?? [];
  return {
    ok: true,
    identity: namespace && serviceAccount ? { namespace, serviceAccount } : undefined,
  };
};

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(): Promise<Harness> {
  const node = (name: string, namespace: string): MeshProxy => {
    const id = `sidecar~10.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`;
    const parsed = parseProxy(
      { id, cluster: '', metadata: { NAMESPACE: namespace, ISTIO_VERSION: '1.31.1' } },
      { vhds: true },
    );
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.proxy;
  };
  const proxies = new Map([node('web', 'a'), node('db', 'b')].map((proxy) => [proxy.id, proxy]));
  const secret = makeResource(
    typeUrls.secret,
    'kubernetes://credential',
    toBinary(SecretSchema, {
      $typeName: SecretSchema.typeName,
      name: 'kubernetes://credential',
      type: {
        case: 'tlsCertificate',
        value: {
          $typeName: 'envoy.extensions.transport_sockets.tls.v3.TlsCertificate',
          signedCertificateTimestamp: [],
          privateKey: {
            $typeName: 'envoy.config.core.v3.DataSource',
            specifier: { case: 'inlineString', value: secretKey },
          },
        },
      },
    }),
  );
  const origin = { kind: 'DestinationRule', namespace: 'a', name: 'web', path: '' };
  const own = create(ClusterSchema, { name: 'outbound|80||web', metadata: originMetadata(origin) });
  const bytes = toBinary(ClusterSchema, own);
  const cluster = { ...makeResource(typeUrls.cluster, own.name, bytes), origins: [origin] };
  const harness = await startHarness({
    resources: [cluster, secret],
    debug(source, ledger) {
      const parts: DebugParts = {
        proxies: { proxies, statuses: () => ledger.snapshot() },
        resources: (id, type) => source.resources(id, type),
        held: (id) => ledger.held(id),
        world: () => new World(),
        mesh: () => defaultMeshConfig,
        revision: () => source.revision,
        objects: () => [],
        failures: () => [],
      };
      return xdsDebug({
        parts,
        pages: createDebugPages(parts),
        authenticate,
        controlPlane: '{"Component":"istiod"}',
      });
    },
  });
  closing.push(() => harness.server.stop(0));
  for (const id of proxies.keys()) {
    const client = new DeltaClient(harness.port);
    client.request(typeUrls.cluster, {
      node: { id, metadata: { NAMESPACE: id.includes('.a~') ? 'a' : 'b' } },
    });
    await client.take();
    closing.push(() => client.close());
  }
  return harness;
}

function caller(harness: Harness, token?: string): SotwClient {
  const client = new SotwClient(
    harness.port,
    token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
  );
  closing.push(() => client.close());
  return client;
}

/** What istioctl sends: a node of its own, and a nonce of no response. */
async function ask(harness: Harness, token: string | undefined, type: string, names: readonly string[] = []) {
  const client = caller(harness, token);
  client.request(type, {
    node: { id: 'debug~0.0.0.0~istioctl~cluster.local' },
    subscribe: names,
    nonce: new Date().toString(),
  });
  return client.next();
}

async function refusal(
  harness: Harness,
  token: string | undefined,
  type: string,
  names: readonly string[] = [],
) {
  const client = caller(harness, token);
  client.request(type, { node: { id: 'debug~0.0.0.0~istioctl~cluster.local' }, subscribe: names });
  const { status } = await client.trailers;
  expect(client.responses).toEqual([]);
  return Number(status);
}

test('without proof of who asks nothing is told', async () => {
  const harness = await start();
  for (const type of [debugType, `${debugType}/syncz`, `${debugType}/config_dump`])
    for (const token of [undefined, 'bad']) expect(await refusal(harness, token, type, ['syncz'])).toBe(16);
});

test('syncz: the root namespace sees every proxy, another its own', async () => {
  const harness = await start();
  const seen = async (token: string) => {
    const { resources, controlPlane } = await ask(harness, token, `${debugType}/syncz`);
    expect(controlPlane?.identifier).toBe('{"Component":"istiod"}');
    return resources.map(({ value }) => fromBinary(ClientConfigSchema, value));
  };
  const all = await seen('istio-system/default');
  expect(all.map(({ node }) => node?.metadata?.NAMESPACE)).toEqual(['b', 'a']);
  expect(all[0]?.genericXdsConfigs).toMatchObject([
    { typeUrl: typeUrls.cluster, configStatus: ConfigStatus.SYNCED, lastUpdated: expect.anything() },
  ]);
  expect((await seen('a/web')).map(({ node }) => node?.id)).toEqual([
    'sidecar~10.0.0.1~web.a~a.svc.cluster.local',
  ]);
  expect(await seen('c/stranger')).toEqual([]);
});

test('config_dump: what a proxy should hold, without its keys; of another namespace nothing', async () => {
  const harness = await start();
  const dump = await ask(harness, 'b/db', `${debugType}/config_dump`, ['db.b']);
  const types = dump.resources.map(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf('.') + 1));
  expect(types).toEqual([
    ...['BootstrapConfigDump', 'ClustersConfigDump', 'ListenersConfigDump', 'ScopedRoutesConfigDump'],
    ...['RoutesConfigDump', 'SecretsConfigDump', 'EcdsConfigDump'],
  ]);
  const [found] = dump.resources
    .flatMap((any) => anyUnpack(any, ClustersConfigDumpSchema)?.dynamicActiveClusters ?? [])
    .flatMap(({ cluster }) => (cluster ? (anyUnpack(cluster, ClusterSchema) ?? []) : []));
  expect(found?.metadata?.filterMetadata.istio).toMatchObject({
    config: '/apis/networking.istio.io/v1/namespaces/a/destination-rule/web',
    default_original_port: 80,
  });
  const secrets = dump.resources.flatMap((any) => anyUnpack(any, SecretsConfigDumpSchema) ?? []);
  expect(secrets[0]?.dynamicActiveSecrets[0]?.name).toBe('kubernetes://credential');
  expect(dump.resources.map(({ value }) => Buffer.from(value).includes(secretKey))).not.toContain(true);
  expect((await ask(harness, 'a/web', `${debugType}/config_dump`, ['db.b'])).resources).toEqual([]);
  expect(
    (await ask(harness, 'istio-system/default', `${debugType}/config_dump`, ['db.b'])).resources,
  ).toHaveLength(7);
});

test('pages by name: those of the mesh are for the root namespace, those of proxies show a namespace its own', async () => {
  const harness = await start();
  const page = async (token: string, name: string) =>
    Buffer.from((await ask(harness, token, debugType, [name])).resources[0]?.value ?? []).toString();
  for (const name of ['configz', 'registryz', 'endpointShardz', 'mesh', 'authorizationz', 'pushcontext'])
    expect(await refusal(harness, 'a/web', debugType, [name]), name).toBe(7);
  const ids = (text: string) => (JSON.parse(text) as { proxy: string }[]).map(({ proxy }) => proxy);
  expect(ids(await page('a/web', 'syncz'))).toEqual(['web.a']);
  expect(ids(await page('a/web', 'syncz?namespace=b'))).toEqual([]);
  expect(ids(await page('istio-system/default', 'syncz?namespace=b'))).toEqual(['db.b']);
  expect(JSON.parse(await page('a/web', 'connections'))).toMatchObject({ totalClients: 1 });
  expect(JSON.parse(await page('a/web', 'adsz'))).toMatchObject({ totalClients: 1 });
  // Istio's command line looks for these words.
  for (const name of ['config_dump', 'edsz', 'sidecarz', 'telemetryz', 'adsz'])
    expect(await page('a/web', `${name}?proxyID=db.b`), name).toContain('Proxy not connected');
  expect(await page('a/web', 'edsz')).toContain('You must provide a proxyID');
  expect(await page('istio-system/default', 'nonsense')).toContain('404 page not found');
});

test('a call for debug types is no proxy and may ask for nothing else', async () => {
  const harness = await start();
  const client = caller(harness, 'istio-system/default');
  client.request(`${debugType}/syncz`, {
    node: { id: 'sidecar~1.2.3.4~.istio-system~istio-system.svc.cluster.local' },
  });
  const response = await client.next();
  client.ack(response);
  await client.silence();
  client.request(debugType, { subscribe: ['list'] });
  expect((await client.next()).typeUrl).toBe(debugType);
  expect(harness.ledger.snapshot()).toHaveLength(2);
  client.request(typeUrls.cluster);
  expect((await client.trailers).status).toBe('3');
});
