import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../../test/support/api-server.ts';
import {
  type ApiCaller,
  PortForwardClient,
  type Transport,
  UpgradeRefused,
} from '../../../../test/support/port-forward-client.ts';
import { CodedError } from '../../../kit/coded-error.ts';
import { mastersGroup } from '../../access/user.ts';
import type { PodPort } from './port-forward.ts';

const target = { namespace: 'default', pod: 'web' };
const transports: Transport[] = ['websocket', 'spdy'];
const asked: PodPort[] = [];

const web = createServer((request, response) => {
  response.end(`${request.method} ${request.url} ${'x'.repeat(200_000)}`);
});

let api: TestApi;
let admin: ApiCaller;
beforeAll(async () => {
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  api = await startTestApi({
    connectToPod: async (port) => {
      asked.push(port);
      if (port.port !== 80) throw new CodedError('PodPortRefused', `port ${port.port} is not served`);
      const socket = connect((web.address() as AddressInfo).port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    },
  });
  const created = await api.call('POST', '/api/v1/namespaces/default/pods', {
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'web', image: 'web' }] },
    },
  });
  expect(created.status, created.text).toBe(201);
  admin = await callerOf('admin', [mastersGroup]);
});
afterAll(async () => {
  await api?.close();
  web.close();
});

async function callerOf(name: string, groups: readonly string[] = []): Promise<ApiCaller> {
  const credential = await api.user(name, groups);
  return { url: api.server.url, ca: api.pki.authorityPem, ...credential } as ApiCaller;
}

describe.each(transports)('over %s', (transport) => {
  test('connections to a port, one after the other and at once', async () => {
    const client = await PortForwardClient.open(admin, transport, target);
    try {
      const first = await client.get(80, '/a');
      expect(first.status).toBe(200);
      expect(first.body).toContain('GET /a ');
      const many = await Promise.all(Array.from({ length: 20 }, (_, i) => client.get(80, `/${i}`)));
      expect(many.map(({ body }, i) => body.includes(`GET /${i} `) && body.length > 200_000)).not.toContain(
        false,
      );
      expect(asked.at(-1)).toMatchObject({
        namespace: 'default',
        pod: 'web',
        port: 80,
        user: { name: 'admin' },
      });
    } finally {
      client.close();
    }
  });

  test('a port that does not answer is told on the error stream', async () => {
    const client = await PortForwardClient.open(admin, transport, target);
    try {
      expect(await client.call(81, '')).toEqual({ data: '', error: 'port 81 is not served' });
      // The connection is still of use.
      expect((await client.get(80, '/')).status).toBe(200);
    } finally {
      client.close();
    }
  });

  test('who may not is refused, before anything is connected', async () => {
    const open = (caller: ApiCaller, pod = target) => PortForwardClient.open(caller, transport, pod);
    const before = asked.length;
    const nobody = { url: api.server.url, ca: api.pki.authorityPem };
    await expect(open(nobody)).rejects.toMatchObject({ status: 401 });
    await expect(open({ ...nobody, token: 'nonsense' })).rejects.toMatchObject({ status: 401 });
    await expect(open(await callerOf('viewer'))).rejects.toMatchObject({ status: 403 });
    await expect(open(admin, { ...target, pod: 'gone' })).rejects.toMatchObject({ status: 404 });
    await expect(open(admin, { ...target, pod: '..%2F..' })).rejects.toBeInstanceOf(UpgradeRefused);
    expect(asked).toHaveLength(before);
  });

  test('who may read pods may not reach their ports; who may edit them may', async () => {
    const rules = (name: string, rule: object) => ({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name, namespace: 'default' },
      rules: [rule],
    });
    const user = `reader-${transport}`;
    await api.call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles', {
      body: rules(user, { apiGroups: [''], resources: ['pods', 'pods/portforward'], verbs: ['get'] }),
    });
    const bind = (name: string, roleRef: object) =>
      api.call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
        body: {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'RoleBinding',
          metadata: { name, namespace: 'default' },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', ...roleRef },
          subjects: [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }],
        },
      });
    await bind(user, { kind: 'Role', name: user });
    const caller = await callerOf(user);
    await expect(PortForwardClient.open(caller, transport, target)).rejects.toMatchObject({ status: 403 });
    await bind(`${user}-edit`, { kind: 'ClusterRole', name: 'edit' });
    const client = await PortForwardClient.open(caller, transport, target);
    expect((await client.get(80, '/')).status).toBe(200);
    client.close();
  });

  test('what is not SPDY ends the connection, and only that', async () => {
    const client = await PortForwardClient.open(admin, transport, target);
    const closed = once(client.transport, 'close');
    client.transport.write(Buffer.from([0x80, 9, 0, 1, 0, 0, 0, 0]));
    await closed;
    const large = await PortForwardClient.open(admin, transport, target);
    const gone = once(large.transport, 'close');
    large.transport.write(Buffer.from([0, 0, 0, 1, 0, 0xff, 0xff, 0xff]));
    await gone;
    const next = await PortForwardClient.open(admin, transport, target);
    expect((await next.get(80, '/')).status).toBe(200);
    next.close();
  });
});

test('a WebSocket that offers another protocol is refused', async () => {
  const answer = await api.call('GET', '/api/v1/namespaces/default/pods/web/portforward', {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol': 'v4.channel.k8s.io',
    },
  });
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ message: expect.stringContaining('SPDY/3.1+portforward.k8s.io') });
});
