// Nothing is silently ignored: what is not acted on, and what proxies refuse, stands in the object's status.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBuiltInRegistry } from '../../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject, StatusCondition } from '../../../src/config/object.ts';
import { eventually } from '../../support/bookinfo.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
});
afterAll(() => mesh?.close());

async function conditions(type: string, name: string): Promise<readonly StatusCondition[]> {
  const { code, stdout, stderr } = await mesh.ostria.run(['get', type, name, '-o', 'json']);
  if (code !== 0) throw new Error(stderr);
  const status = (JSON.parse(stdout) as ConfigObject).status as Record<string, unknown> | undefined;
  const parents = (status?.parents ?? []) as { conditions: StatusCondition[] }[];
  return [...((status?.conditions ?? []) as StatusCondition[]), ...parents.flatMap((one) => one.conditions)];
}

const answers = async () =>
  Promise.all(
    [mesh.ingress, mesh.helloFromSleep].map(async (url) => {
      const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
      await answer.text();
      return answer.status;
    }),
  );

const examples: [type: string, apiVersion: string, kind: string, spec: unknown][] = [
  [
    'requestauthentication',
    'security.istio.io/v1',
    'RequestAuthentication',
    { jwtRules: [{ issuer: 'a@example.com', jwksUri: 'https://example.com/jwks' }] },
  ],
  ['sidecar', 'networking.istio.io/v1', 'Sidecar', { egress: [{ hosts: ['./*'] }] }],
  [
    'httproute',
    'gateway.networking.k8s.io/v1',
    'HTTPRoute',
    { parentRefs: [{ name: 'gateway' }], rules: [{ backendRefs: [{ name: 'helloworld', port: 5000 }] }] },
  ],
  ['wasmplugin', 'extensions.istio.io/v1alpha1', 'WasmPlugin', { url: 'oci://example.com/plugin:v1' }],
];
const planned = new Set(
  createBuiltInRegistry()
    .all()
    .filter(({ behaviour }) => behaviour === 'planned')
    .map(({ kind }) => kind),
);

describe('kinds that are not built yet', () => {
  // Whatever is built by now acts, and says nothing of the kind.
  test.each(examples.filter(([, , kind]) => planned.has(kind)))(
    '%s is stored, warns, and says so in its status',
    async (type, apiVersion, kind, spec) => {
      const object = { apiVersion, kind, metadata: { name: 'planned' }, spec };
      const { code, stdout, stderr } = await mesh.ostria.run(['apply', '-f', '-'], {
        input: JSON.stringify(object),
      });
      expect([code, stdout]).toEqual([0, expect.stringContaining('/planned created')]);
      expect(stderr).toContain(`${kind} is stored, but this version of Ostria does not act on it yet`);
      expect(await conditions(type, 'planned')).toContainEqual(
        expect.objectContaining({ type: 'Accepted', status: 'False', reason: 'NotImplemented' }),
      );
      expect(await answers()).toEqual([200, 200]);
      expect((await mesh.ostria.run(['delete', type, 'planned'])).code).toBe(0);
    },
  );
});

describe('what proxies refuse', () => {
  const elsewhere = (bad: boolean): ConfigObject =>
    networkingObject('Gateway', 'elsewhere', {
      selector: { istio: 'ingressgateway' },
      servers: [
        {
          bind: bad ? '203.0.113.1' : '127.0.0.1',
          port: { number: 8080, name: 'http', protocol: 'HTTP' },
          hosts: ['elsewhere.example'],
        },
      ],
    });
  const refused = (why: string) =>
    expect.objectContaining({
      type: 'Programmed',
      status: 'False',
      reason: 'RejectedByProxy',
      message: expect.stringContaining(why),
    });
  const taken = expect.objectContaining({ type: 'Programmed', status: 'True' });

  // Each passes admission (Istio's too), and no Envoy takes it.
  test.each<[string, string, string, (bad: boolean) => ConfigObject, string]>([
    ['an address that this machine lacks', 'gateway', 'elsewhere', elsewhere, 'cannot bind'],
  ])(
    '%s: the object says so, traffic goes on, and mending it is enough',
    async (_, type, name, make, why) => {
      await mesh.apply(make(false));
      expect(await answers()).toEqual([200, 200]);
      await mesh.apply(make(true));
      await eventually(async () => expect(await conditions(type, name)).toContainEqual(refused(why)));
      expect((await mesh.ostria.run(['proxy-status'])).stdout).toContain('NACKED');
      for (let call = 0; call < 5; call++) expect(await answers()).toEqual([200, 200]);
      // Back to what it was: what proxies hold is what is wanted again.
      await mesh.apply(make(false));
      await eventually(async () => expect(await conditions(type, name)).toContainEqual(taken));
      await eventually(async () =>
        expect((await mesh.ostria.run(['proxy-status'])).stdout).not.toContain('NACKED'),
      );
      await mesh.remove(make(false));
      await eventually(async () => expect(await answers()).toEqual([200, 200]));
    },
  );

  test('an edit beside the refused one goes through', async () => {
    await mesh.apply(elsewhere(true));
    await eventually(async () =>
      expect(await conditions('gateway', 'elsewhere')).toContainEqual(refused('cannot bind')),
    );
    await mesh.apply(
      networkingObject('VirtualService', 'httpbin', {
        hosts: ['httpbin'],
        http: [{ directResponse: { status: 418 } }],
      }),
    );
    await eventually(async () => expect((await fetch(mesh.httpbinFromSleep)).status).toBe(418));
    // Deleting the bad one is as good as mending it.
    await mesh.ostria.run(['delete', 'gateway', 'elsewhere']);
    await mesh.ostria.run(['delete', 'virtualservice', 'httpbin']);
    await eventually(async () =>
      expect((await mesh.ostria.run(['proxy-status'])).stdout).not.toContain('NACKED'),
    );
    expect((await fetch(mesh.httpbinFromSleep)).status).toBe(200);
  });
});

const read = async (type: string, name: string): Promise<ConfigObject | undefined> => {
  const { code, stdout } = await mesh.ostria.run(['get', type, name, '-o', 'json']);
  return code === 0 ? (JSON.parse(stdout) as ConfigObject) : undefined;
};

describe('what the control plane writes itself', () => {
  test('a ServiceEntry gets addresses of its own, and keeps them when it is edited', async () => {
    const entry = (port: number) =>
      networkingObject('ServiceEntry', 'outside', {
        hosts: ['outside.example.com'],
        resolution: 'STATIC',
        ports: [{ number: port, name: 'tcp', protocol: 'TCP' }],
        endpoints: [{ address: '192.0.2.1' }],
      });
    const addresses = async () =>
      ((await read('serviceentry', 'outside'))?.status as { addresses?: unknown } | undefined)?.addresses;
    await mesh.apply(entry(5000));
    await eventually(async () => expect(await addresses()).toHaveLength(2));
    const given = await addresses();
    expect(given).toEqual([
      { value: expect.stringMatching(/^240\.240\./), host: 'outside.example.com' },
      { value: expect.stringMatching(/^2001:2::/), host: 'outside.example.com' },
    ]);
    await mesh.apply(entry(5001));
    expect(await addresses()).toEqual(given);
    await mesh.remove(entry(5001));
  });

  test('a workload that names a group is registered, as well as its probe finds it, and gone when it leaves', async () => {
    const group = networkingObject('WorkloadGroup', 'machines', {
      template: { ports: { http: 8080 }, labels: { app: 'machine' }, serviceAccount: 'machine' },
      probe: { httpGet: { port: 8080, path: '/health' }, periodSeconds: 1, failureThreshold: 1 },
    });
    await mesh.apply(group);
    const application = `let status = 500;
      require('node:http').createServer({ keepAliveTimeout: 0 }, (request, response) => {
        if (request.url === '/quit') process.exit();
        if (request.url === '/well') status = 200;
        response.statusCode = request.url === '/health' ? status : 200;
        response.end();
      }).listen(process.env.PORT, '127.0.0.1');`;
    const running = mesh.ostria.run([
      ...['run', '--service', 'machine', '--group', 'machines', '--port', '8080', '--name', 'machine-1'],
      ...['--', process.execPath, '-e', application],
    ]);
    const healthy = async () =>
      (await conditions('workloadentry', 'machine-1').catch(() => [])).find(({ type }) => type === 'Healthy');
    await eventually(async () =>
      expect(await healthy()).toMatchObject({ status: 'False', message: '/health answers 500' }),
    );
    expect(await read('workloadentry', 'machine-1')).toMatchObject({
      metadata: { annotations: { 'istio.io/autoRegistrationGroup': 'machines' } },
      spec: { labels: { app: 'machine', version: 'v1' }, serviceAccount: 'machine' },
    });
    const { ports } = JSON.parse(readFileSync(mesh.state('ports.json'), 'utf8')) as {
      ports: Record<string, number>;
    };
    const app = `http://127.0.0.1:${ports['run/machine-1/app/8080']}`;
    await fetch(`${app}/well`);
    await eventually(async () => expect(await healthy()).toMatchObject({ status: 'True' }));
    await fetch(`${app}/quit`).catch(() => undefined);
    await running;
    await eventually(async () => expect(await read('workloadentry', 'machine-1')).toBeUndefined());
    await mesh.remove(group);
  });
});

test('an EnvoyFilter that Envoy refuses is left out and says why; one that matches nothing says so', async () => {
  const manager = 'envoy.filters.network.http_connection_manager';
  const lua = (script: string, port: number): ConfigObject => {
    const listener = { portNumber: port, filterChain: { filter: { name: manager } } };
    const value = {
      name: 'envoy.filters.http.lua',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
        default_source_code: { inline_string: script },
      },
    };
    const match = { proxy: { proxyVersion: '^1\\.' }, context: 'SIDECAR_INBOUND', listener };
    return {
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'EnvoyFilter',
      metadata: { name: 'script', namespace: 'default' },
      spec: {
        configPatches: [{ applyTo: 'HTTP_FILTER', match, patch: { operation: 'INSERT_FIRST', value } }],
      },
    };
  };
  const apply = async (object: ConfigObject) => {
    const { code, stderr } = await mesh.ostria.run(['apply', '-f', '-'], { input: JSON.stringify(object) });
    expect([code, stderr]).toEqual([0, '']);
  };
  const expectCondition = (condition: Partial<StatusCondition>) =>
    eventually(async () =>
      expect(await conditions('envoyfilter', 'script')).toContainEqual(expect.objectContaining(condition)),
    );
  await apply(lua('no Lua', 5000));
  await expectCondition({
    type: 'Accepted',
    status: 'False',
    reason: 'RejectedByProxy',
    message: expect.stringContaining('script load error') as unknown as string,
  });
  expect(await answers()).toEqual([200, 200]);
  await apply(lua('function envoy_on_request(handle) end', 5001));
  await expectCondition({ type: 'Matched', status: 'False', reason: 'PatchMatchesNothing' });
  expect((await mesh.ostria.run(['delete', 'envoyfilter', 'script'])).code).toBe(0);
});

describe('settings of proxies', () => {
  const copies = ['helloworld-v1-0', 'helloworld-v2-0'];
  const proxyConfig: ConfigObject = {
    ...networkingObject('ProxyConfig', 'hello', {
      selector: { matchLabels: { app: 'helloworld' } },
      concurrency: 2,
      environmentVariables: { TEAM: 'a', ISTIO_META_TEAM: 'a' },
      image: { imageType: 'debug' },
    }),
    apiVersion: 'networking.istio.io/v1beta1',
  };
  /** Worker threads and variable of an Envoy that runs. */
  const envoyOf = (name: string): (string | undefined)[] => {
    const { pid } = JSON.parse(readFileSync(mesh.state('workloads', name, 'envoy-process.json'), 'utf8')) as {
      pid: number;
    };
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return [
      args[args.indexOf('--concurrency') + 1],
      environment.find((variable) => variable.startsWith('TEAM=')),
    ];
  };
  const apps = async () =>
    (await mesh.ostria.status()).instances
      .filter(({ name }) => copies.includes(name))
      .map(({ app }) => (app?.state === 'running' ? app.pid : 0));
  const haveStarted = (wanted: unknown) =>
    eventually(async () => {
      expect(copies.map(envoyOf)).toEqual(wanted);
      const { instances } = await mesh.ostria.status();
      expect(instances.every(({ ready }) => ready)).toBe(true);
    }, 60_000);

  test('proxies start anew one after the other, without a lost call, and applications run on', async () => {
    const before = await apps();
    const seen = new Set<number>();
    let calling = true;
    const calls = (async () => {
      while (calling) {
        const answer = await fetch(mesh.helloFromSleep, { signal: AbortSignal.timeout(30_000) });
        await answer.text();
        seen.add(answer.status);
      }
    })();
    await mesh.apply(proxyConfig);
    await haveStarted(Array(2).fill(['2', 'TEAM=a']));
    calling = false;
    await calls;
    expect([...seen]).toEqual([200]);
    expect(await apps()).toEqual(before);
    expect(await conditions('proxyconfig', 'hello')).toContainEqual(
      expect.objectContaining({ reason: 'NotActedOn', message: expect.stringContaining('spec.image') }),
    );
  });

  test('an annotation counts for its pod, below a ProxyConfig that selects it; what is not acted on stands on the pod', async () => {
    await mesh.client.request({
      method: 'PATCH',
      path: '/api/v1/namespaces/default/pods/helloworld-v1-0',
      contentType: 'application/merge-patch+json',
      body: {
        metadata: { annotations: { 'proxy.istio.io/config': '{concurrency: 3, statNameLength: 5}' } },
      },
    });
    await eventually(async () =>
      expect(await conditions('pod', 'helloworld-v1-0')).toContainEqual(
        expect.objectContaining({ reason: 'NotActedOn', message: expect.stringContaining('statNameLength') }),
      ),
    );
    expect(copies.map(envoyOf)).toEqual(Array(2).fill(['2', 'TEAM=a']));
    await mesh.remove(proxyConfig);
    await haveStarted([
      ['3', undefined],
      ['1', undefined],
    ]);
  });

  test('defaults of the mesh are those of every proxy that has no other', async () => {
    await mesh.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: 'defaultConfig: { concurrency: 2, proxyMetadata: { TEAM: b }, statNameLength: 5 }' },
    });
    await haveStarted([
      ['3', 'TEAM=b'],
      ['2', 'TEAM=b'],
    ]);
    expect(envoyOf('istio-ingressgateway')).toEqual(['2', 'TEAM=b']);
    const { stdout } = await mesh.ostria.run(['mesh-config']);
    expect(stdout).toContain('defaultConfig.statNameLength');
    expect(stdout).not.toContain('defaultConfig.concurrency');
    await eventually(async () => expect(await answers()).toEqual([200, 200]));
  });
});

test.each(['istio', 'ostria'])(
  'the GatewayClass %s is there, accepted, and says what it can do',
  async (name) => {
    await eventually(async () =>
      expect(await conditions('gatewayclass', name)).toContainEqual(
        expect.objectContaining({ type: 'Accepted', status: 'True' }),
      ),
    );
    const { stdout } = await mesh.ostria.run(['get', 'gatewayclass', name, '-o', 'json']);
    const { supportedFeatures } = (JSON.parse(stdout) as ConfigObject).status as {
      supportedFeatures: { name: string }[];
    };
    expect(supportedFeatures.map((feature) => feature.name)).toContain('HTTPRoute');
  },
);
