// What each port of the control plane accepts from whom, as docs/security.md says it, on a control plane with every port that it can have.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CREATE_CERTIFICATE_PATH } from '../../src/ca/certificate-service.ts';
import { ApiClient } from '../../src/cli/api/api-client.ts';
import { createLog } from '../../src/control-plane/log.ts';
import { parseControlPlaneOptions } from '../../src/control-plane/options.ts';
import { type ControlPlane, startControlPlane } from '../../src/control-plane/start-control-plane.ts';
import { readKubeconfig } from '../../src/kit/kubeconfig.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { opensslCertificate } from '../support/authority.ts';
import { DeltaClient, SotwClient } from './fake-envoy.ts';

let directory: string;
let plane: ControlPlane;
let admin: ApiClient;
let nobody: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-ports-'));
  const kubeconfig = join(directory, 'kubeconfig');
  const any = '127.0.0.1:0';
  const options = parseControlPlaneOptions([
    ...['--state', join(directory, 'state'), '--kubeconfig', kubeconfig, '--log-level', 'error'],
    ...['--api', any, '--xds', any, '--monitoring', any],
  ]);
  if (!options) throw new Error('no options');
  plane = await startControlPlane(options, createLog('error'));
  admin = new ApiClient(readKubeconfig(kubeconfig));
  const metadata = { name: 'nobody', namespace: 'default' };
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
  await admin.request({ method: 'POST', path: accounts, body: account });
  const { json } = await admin.request({
    method: 'POST',
    path: `${accounts}/nobody/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  });
  nobody = (json as { status: { token: string } }).status.token;
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const port = (name: string): number => plane.ports.get(name) ?? 0;

interface Asked {
  readonly method?: string;
  readonly token?: string;
  readonly key?: string;
  readonly cert?: string;
}

/** The status that a path answers with over TLS, or why there is none. */
function ask(name: string, path: string, { method = 'GET', token, key, cert }: Asked = {}) {
  return new Promise<number | string>((resolve) => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: port(name), path, method, agent: false, rejectUnauthorized: false },
        ...(key && cert ? { key, cert } : {}),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sent.on('error', (error) => resolve(error.message));
    sent.setTimeout(30_000, () => sent.destroy(new Error('timed out')));
    sent.end();
  });
}

/** A stranger's certificate of the highest rank that there is. */
function stranger(): { key: string; cert: string } {
  const names = ['spiffe://cluster.local/ns/istio-system/sa/istiod'];
  const { key, certificate } = opensslCertificate({ directory, name: 'admin', ca: false, names });
  return { key, cert: certificate };
}

const debugPages = [
  ...[
    'syncz',
    'registryz',
    'endpointz',
    'configz',
    'mesh',
    'config_dump',
    'adsz',
    'inject',
    'authorizationz',
  ],
  ...[
    'revision',
    'wait',
    'delivery',
    'proxies',
    'compile',
    'mesh-config',
    'conflicts',
    'positions',
    'listeners',
  ],
  ...['ca', 'ca/bundle', 'history'],
].map((name) => `/debug/${name}`);

describe('configuration API', () => {
  const objects = ['/api/v1/secrets', '/apis/networking.istio.io/v1/virtualservices', '/openapi/v3'];

  test.each([...debugPages, ...objects, '/metrics', '/no-such-path'])(
    '%s: not without proof',
    async (path) => {
      expect(await ask('api', path)).toBe(401);
      expect(await ask('api', path, { token: 'a.b.c' })).toBe(401);
    },
  );

  test('a certificate of somebody else proves nothing', async () => {
    expect(await ask('api', '/debug/syncz', stranger())).not.toBe(200);
  });

  test('who has proved who he is has the rights of his account alone', async () => {
    for (const path of [...debugPages, '/api/v1/secrets'])
      expect([path, await ask('api', path, { token: nobody })]).toEqual([path, 403]);
    // The pages are there: whoever may, reads them.
    const { json } = await admin.request({ path: '/debug/mesh-config' });
    expect(json).toMatchObject({ inForce: { trustDomain: 'cluster.local' } });
  });

  test('nor does anybody act without proof', async () => {
    for (const token of [undefined, nobody]) {
      const asked = { method: 'POST', ...(token ? { token } : {}) };
      const refused = token ? 403 : 401;
      expect(await ask('api', '/debug/ca/rotate', asked)).toBe(refused);
      expect(await ask('api', '/api/v1/namespaces/istio-system/pods/istiod/portforward', asked)).toBe(
        refused,
      );
    }
  });

  test('health and version are for everybody', async () => {
    for (const path of ['/healthz', '/readyz', '/livez', '/version'])
      expect(await ask('api', path)).toBe(200);
  });
});

describe('xDS and certificates', () => {
  const node = { id: 'sidecar~10.0.0.1~web.default~default.svc.cluster.local' };
  const tls = { rejectUnauthorized: false };

  test.each<[string, { headers?: Record<string, string>; stranger?: boolean }]>([
    ['without proof', {}],
    ['with a token of nobody', { headers: { authorization: 'Bearer a.b.c' } }],
    ['with a token for something else', { headers: { authorization: 'Bearer' } }],
    ['with a certificate of somebody else', { stranger: true }],
  ])('neither configuration nor secrets nor debug types %s', async (_, { headers, stranger: asStranger }) => {
    const given = headers?.authorization === 'Bearer' ? { authorization: `Bearer ${nobody}` } : headers;
    const options = {
      tls: { ...tls, ...(asStranger ? stranger() : {}) },
      ...(given ? { headers: given } : {}),
    };
    for (const type of [typeUrls.listener, typeUrls.secret]) {
      const client = new DeltaClient(port('xds'), options);
      client.request(type, { node, subscribe: ['default'] });
      expect((await client.trailers).status).not.toBe('0');
      expect(client.responses).toEqual([]);
      await client.close();
    }
    const debug = new SotwClient(port('xds'), options);
    debug.request('istio.io/debug/syncz', { node });
    expect((await debug.trailers).status).not.toBe('0');
    expect(debug.responses).toEqual([]);
    await debug.close();
  });

  test('no certificate without proof, and no pages', async () => {
    const session = connect(`https://127.0.0.1:${port('xds')}`, tls);
    const answerTo = (path: string, method = 'POST') =>
      new Promise<Record<string, unknown>>((resolve) => {
        const stream = session.request({
          [constants.HTTP2_HEADER_METHOD]: method,
          [constants.HTTP2_HEADER_PATH]: path,
          'content-type': 'application/grpc',
        });
        let seen: Record<string, unknown> = {};
        const note = (headers: Record<string, unknown>) => {
          seen = { ...seen, ...headers };
        };
        stream
          .on('response', note)
          .on('trailers', note)
          .on('error', () => undefined);
        stream.on('close', () => resolve(seen)).resume();
        stream.end(Buffer.alloc(5));
      });
    expect((await answerTo(CREATE_CERTIFICATE_PATH))['grpc-status']).toMatch(/^(16|3)$/);
    for (const path of debugPages) {
      const answer = await answerTo(path, 'GET');
      expect([path, answer[':status'] === 200 && answer['grpc-status'] === undefined]).toEqual([path, false]);
    }
    session.close();
  });

  test('nothing in plaintext', async () => {
    const heard = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connectTcp(port('xds'), '127.0.0.1', () =>
        socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      );
      socket.on('data', (data) => {
        text += data.toString('latin1');
      });
      socket.on('error', () => undefined).on('close', () => resolve(text));
      socket.setTimeout(30_000, () => socket.destroy());
    });
    // At most a TLS alert (content type 21).
    expect(heard === '' || heard.charCodeAt(0) === 21).toBe(true);
    expect(plane.ports.has('insecure-xds')).toBe(false);
  });
});

test('a connection for proxies does not stand for the next one: no session of TLS is resumed', async () => {
  const open = (session?: Buffer) =>
    new Promise<{ reused: boolean; session: Buffer | undefined }>((resolve, reject) => {
      let given: Buffer | undefined;
      const socket = connectTls({
        ...{ host: '127.0.0.1', port: port('xds'), rejectUnauthorized: false, ALPNProtocols: ['h2'] },
        ...(session ? { session } : {}),
      });
      socket.on('session', (latest) => {
        given = latest;
      });
      const http2 = connect('https://127.0.0.1', { createConnection: () => socket });
      http2.once('error', reject);
      // What the server tells of sessions comes before the answer.
      http2.once('connect', () =>
        http2.ping((error) => {
          if (error) reject(error);
          else resolve({ reused: socket.isSessionReused(), session: given });
          http2.destroy();
        }),
      );
    });
  const first = await open();
  expect(first.session).toBeDefined();
  expect((await open(first.session)).reused).toBe(false);
});

test('monitoring tells counts and health, and has no other page', async () => {
  const get = async (path: string) => fetch(`http://127.0.0.1:${port('monitoring')}${path}`);
  for (const path of ['/metrics', '/healthz', '/readyz']) expect((await get(path)).status).toBe(200);
  const text = await (await get('/metrics')).text();
  expect(text).toContain('ostria_ca_certificate_days_left');
  expect(text).not.toMatch(/PRIVATE KEY|nobody/);
  for (const path of [...debugPages, '/debug/pprof/', '/api/v1/secrets', '/'])
    expect([path, (await get(path)).status]).toEqual([path, 404]);
});

test('mesh settings: the first who applies some has no conflict; another trust domain is refused', async () => {
  const apply = (mesh: string) =>
    admin.request({
      method: 'PATCH',
      path: '/api/v1/namespaces/istio-system/configmaps/istio?fieldManager=somebody',
      contentType: 'application/apply-patch+yaml',
      body: {
        ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', namespace: 'istio-system' } },
        data: { mesh },
      },
    });
  expect((await apply('trustDomainAliases: [old.example]')).status).toBe(200);
  await expect(apply('trustDomain: else.example')).rejects.toThrow(
    /data\.mesh: .*trustDomain is else\.example, but this mesh was started as cluster\.local/,
  );
  expect((await apply('trustDomain: cluster.local')).status).toBe(200);
});
