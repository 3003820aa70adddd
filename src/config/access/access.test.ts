import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Credential, startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import { parseCertificate } from '../../kit/x509.ts';
import { openApiPki } from './api-pki.ts';
import { bindingFor } from './built-in-roles.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const maps = '/api/v1/namespaces/default/configmaps';
const day = 86_400_000;

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const status = async (method: string, path: string, as: Credential | null, body?: unknown) =>
  (await api.call(method, path, { as, ...(body === undefined ? {} : { body }) })).status;
const grant = async (role: 'admin' | 'editor' | 'viewer' | 'agent', name: string, namespace?: string) => {
  const body = bindingFor({
    role,
    subject: { kind: 'User', name },
    ...(namespace === undefined ? {} : { namespace }),
  });
  const path =
    namespace === undefined ? `${rbac}/clusterrolebindings` : `${rbac}/namespaces/${namespace}/rolebindings`;
  expect((await api.call('POST', path, { body })).status).toBe(201);
};

test('without credentials only health and version answer', async () => {
  for (const path of ['/healthz', '/livez', '/readyz', '/readyz?verbose', '/readyz/store', '/version'])
    expect(await status('GET', path, null)).toBe(200);
  for (const path of [
    '/api',
    '/apis',
    '/openapi/v2',
    '/openapi/v3',
    '/api/v1/namespaces',
    maps,
    '/',
    '/metrics',
    '/healthz/x/y',
  ])
    expect(await status('GET', path, null)).toBe(401);
  expect(await status('POST', '/version', null)).toBe(401);
  expect(await status('GET', maps, { token: 'nonsense' })).toBe(401);
  const answer = await api.call('GET', maps, { headers: { authorization: 'Basic YTpi' }, as: null });
  expect(answer.status).toBe(401);
  expect(answer.json).toMatchObject({ kind: 'Status', reason: 'Unauthorized' });
});

test('a certificate of another authority proves nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-pki-'));
  const foreign = await openApiPki({ directory });
  const forged = await foreign.issueClient({ user: 'admin', groups: ['system:masters'] });
  rmSync(directory, { recursive: true });
  expect(await status('GET', maps, forged)).toBe(401);
  // The server's own certificate is not for clients.
  expect(await status('GET', maps, api.pki.server)).toBe(401);
});

test('TLS 1.2 at least', async () => {
  const outcome = await new Promise<string>((resolve) => {
    const socket = connect(
      {
        port: api.server.port,
        host: '127.0.0.1',
        ca: api.pki.authorityPem,
        minVersion: 'TLSv1.1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      },
      () => resolve('connected'),
    );
    socket.on('error', () => resolve('refused'));
  });
  expect(outcome).toBe('refused');
});

test('keys and kubeconfig are 0600; certificates outlive a restart and are renewed near their end', async () => {
  for (const name of readdirSync(api.directory)) {
    if (name.endsWith('.key') || name === 'kubeconfig')
      expect(statSync(join(api.directory, name)).mode & 0o777).toBe(0o600);
  }
  const directory = mkdtempSync(join(tmpdir(), 'ostria-pki-'));
  const at = (now: number) =>
    openApiPki({ directory, clock: { now: () => now, sleep: () => Promise.resolve() } });
  const now = Date.now();
  const first = await at(now);
  const again = await at(now + 100 * day);
  expect(again.server.certificatePem).toBe(first.server.certificatePem);
  const renewed = await at(now + 300 * day);
  expect(renewed.authorityPem).toBe(first.authorityPem);
  expect(renewed.server.certificatePem).not.toBe(first.server.certificatePem);
  expect(parseCertificate(first.authorityPem).notAfter.getTime() - now).toBeGreaterThan(3600 * day);
  const other = await openApiPki({ directory, hosts: ['mesh.example.com'] });
  expect(parseCertificate(other.server.certificatePem).toString('text')).toContain('mesh.example.com');
  unlinkSync(join(directory, 'api-ca.key'));
  await expect(at(now)).rejects.toMatchObject({ code: 'PkiIncomplete' });
  rmSync(directory, { recursive: true });
  expect(readFileSync(api.kubeconfig, 'utf8')).toContain('client-key-data');
});

test('somebody without a role can see what there is, ask about access, and no more', async () => {
  const nobody = await api.user('nobody');
  expect(await status('GET', '/apis', nobody)).toBe(200);
  expect(await status('GET', '/openapi/v3', nobody)).toBe(200);
  const answer = await api.call('GET', `${maps}/x`, { as: nobody });
  expect(answer.json).toMatchObject({
    code: 403,
    reason: 'Forbidden',
    details: { name: 'x', kind: 'configmaps' },
  });
  expect(answer.json.message).toBe(
    'configmaps "x" is forbidden: User "nobody" cannot get resource "configmaps" in API group "" in the namespace "default"',
  );
  const review = {
    spec: { resourceAttributes: { verb: 'get', resource: 'configmaps', namespace: 'default' } },
  };
  const self = await api.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    as: nobody,
    body: review,
  });
  expect(self.json).toMatchObject({ kind: 'SelfSubjectAccessReview', status: { allowed: false } });
  const other = { spec: { ...review.spec, user: 'admin', groups: ['system:masters'] } };
  expect(await status('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', nobody, other)).toBe(403);
  expect(
    (await api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { body: other })).json
      .status.allowed,
  ).toBe(true);
  const rules = await api.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
    as: nobody,
    body: { spec: { namespace: 'default' } },
  });
  expect(rules.json.status.resourceRules[0]).toMatchObject({
    verbs: ['create'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  });
});

test('editor of a namespace', async () => {
  await grant('editor', 'erin', 'default');
  const erin = await api.user('erin');
  expect(await status('POST', maps, erin, { metadata: { name: 'erins' } })).toBe(201);
  const rule = {
    metadata: { name: 'erins' },
    spec: { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }] }] },
  };
  expect(
    await status('POST', '/apis/networking.istio.io/v1/namespaces/default/virtualservices', erin, rule),
  ).toBe(201);
  expect(await status('GET', '/api/v1/namespaces/default/secrets', erin)).toBe(200);
  expect(await status('GET', maps.replace('default', 'istio-system'), erin)).toBe(403);
  expect(await status('GET', '/api/v1/configmaps', erin)).toBe(403);
  expect(await status('POST', '/api/v1/namespaces', erin, { metadata: { name: 'x' } })).toBe(403);
  expect(await status('GET', `${rbac}/namespaces/default/rolebindings`, erin)).toBe(403);
});

test('viewer and agent', async () => {
  await grant('viewer', 'vic');
  const vic = await api.user('vic');
  expect(await status('GET', '/api/v1/configmaps', vic)).toBe(200);
  expect(await status('GET', '/apis/gateway.networking.k8s.io/v1/httproutes', vic)).toBe(200);
  expect(await status('GET', '/api/v1/secrets', vic)).toBe(403);
  expect(await status('DELETE', `${maps}/erins`, vic)).toBe(403);
  const agent = await api.user('agent-1', ['ostria:agents']);
  expect(await status('GET', '/api/v1/services', agent)).toBe(200);
  expect(await status('GET', '/api/v1/secrets', agent)).toBe(403);
  expect(
    await status('POST', '/apis/networking.istio.io/v1/namespaces/default/workloadentries', agent, {}),
  ).toBe(403);
});

test('nobody gives more than they have', async () => {
  const roles = `${rbac}/namespaces/default/roles`;
  const bindings = `${rbac}/namespaces/default/rolebindings`;
  const role = (name: string, rules: unknown) => ({ metadata: { name }, rules });
  const bind = (name: string, kind: string, to: string) => ({
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: to },
    subjects: [{ kind: 'User', name: 'ada' }],
  });
  expect(
    await status(
      'POST',
      bindings,
      { ...(await api.user('admin', ['system:masters'])) },
      { ...bind('ada', 'ClusterRole', 'admin') },
    ),
  ).toBe(201);
  const ada = await api.user('ada');
  expect(
    await status('POST', roles, ada, role('ok', [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }])),
  ).toBe(201);
  const more = await api.call('POST', roles, {
    as: ada,
    body: role('more', [{ apiGroups: [''], resources: ['nodes'], verbs: ['delete'] }]),
  });
  expect(more.json).toMatchObject({ code: 403 });
  expect(more.json.message).toContain('is attempting to grant RBAC permissions not currently held');
  const wider = { rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }] };
  const widened = await api.call('PATCH', `${roles}/ok`, {
    as: ada,
    body: wider,
    type: 'application/merge-patch+json',
  });
  expect(widened.status).toBe(403);
  expect(await status('POST', bindings, ada, bind('own', 'Role', 'ok'))).toBe(201);
  expect(await status('POST', bindings, ada, bind('all', 'ClusterRole', 'cluster-admin'))).toBe(403);
  expect(await status('POST', bindings, ada, bind('later', 'Role', 'not-yet'))).toBe(403);
  const turned = await api.call('PATCH', `${bindings}/own`, {
    body: { roleRef: { name: 'other' } },
    type: 'application/merge-patch+json',
  });
  expect(turned.json.message).toContain('cannot change roleRef');
});

test('aggregating roles show what they gather, and follow it', async () => {
  const rulesOf = async (name: string) => (await api.call('GET', `${rbac}/clusterroles/${name}`)).json.rules;
  await expect.poll(async () => (await rulesOf('edit')).length).toBeGreaterThan(5);
  const label = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' };
  const rule = { apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] };
  await api.call('POST', `${rbac}/clusterroles`, {
    body: { metadata: { name: 'widgets', labels: label }, rules: [rule] },
  });
  await expect.poll(() => rulesOf('view')).toContainEqual(rule);
  await api.call('DELETE', `${rbac}/clusterroles/widgets`);
  await expect.poll(() => rulesOf('view')).not.toContainEqual(rule);
});

test('acting as another needs the right to', async () => {
  const erin = await api.user('erin');
  const call = (as: Credential | undefined, user: string, group?: string) =>
    api.call('GET', maps, {
      ...(as ? { as } : {}),
      headers: { 'impersonate-user': user, ...(group === undefined ? {} : { 'impersonate-group': group }) },
    });
  expect((await call(undefined, 'nobody')).json.message).toContain('User "nobody" cannot list');
  expect((await call(undefined, 'nobody', 'system:masters')).status).toBe(200);
  expect((await call(erin, 'admin', 'system:masters')).json.message).toContain(
    'cannot impersonate resource "users"',
  );
});

test('service account tokens: claims, audiences, review, and their end', async () => {
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  const account = (await api.call('POST', accounts, { body: { metadata: { name: 'bot' } } })).json;
  const request = (spec: unknown) => api.call('POST', `${accounts}/bot/token`, { body: { spec } });
  const made = await request({ audiences: ['vault'], expirationSeconds: 900 });
  expect(made.status).toBe(201);
  const { token } = made.json.status;
  const claims = decodeJwt(token);
  expect(claims).toMatchObject({
    sub: 'system:serviceaccount:default:bot',
    aud: ['vault'],
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'bot', uid: account.metadata.uid } },
  });
  expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900);
  // Made for another audience, it does not open this API.
  expect(await status('GET', '/apis', { token })).toBe(401);
  const review = (body: unknown) => api.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body });
  expect((await review({ spec: { token, audiences: ['vault', 'x'] } })).json.status).toMatchObject({
    authenticated: true,
    audiences: ['vault'],
    user: {
      username: 'system:serviceaccount:default:bot',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    },
  });
  expect((await review({ spec: { token } })).json.status.authenticated).toBe(false);
  expect((await request({ expirationSeconds: 5 })).status).toBe(422);
  const own = (await request({})).json.status.token;
  expect(await status('GET', '/apis', { token: own })).toBe(200);
  expect(await status('GET', '/apis', { token: `${own.slice(0, -4)}AAAA` })).toBe(401);
  const pods = '/api/v1/namespaces/default/pods';
  const pod = (
    await api.call('POST', pods, {
      body: { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    })
  ).json;
  const bound = (await request({ boundObjectRef: { kind: 'Pod', name: 'p', uid: pod.metadata.uid } })).json
    .status.token;
  expect(await status('GET', '/apis', { token: bound })).toBe(200);
  await api.call('DELETE', `${pods}/p`);
  expect(await status('GET', '/apis', { token: bound })).toBe(401);
  await api.call('DELETE', `${accounts}/bot`);
  await api.call('POST', accounts, { body: { metadata: { name: 'bot' } } });
  expect(await status('GET', '/apis', { token: own })).toBe(401);
  const { keys } = (await api.call('GET', '/openid/v1/jwks')).json;
  expect(keys[0]).toMatchObject({ alg: 'ES256', kty: 'EC' });
  expect(keys[0].d).toBeUndefined();
});
