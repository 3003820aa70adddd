// CertificateSigningRequests as kubectl and signers use them.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import { openssl, opensslCertificate } from '../../../test/support/authority.ts';
import { startSigner } from '../../../test/support/certificate-signer.ts';
import { createKubectl, findKubectl, type Kubectl } from '../../../test/support/kubectl.ts';

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const signerName = 'example.com/mesh';
const found = findKubectl();

let api: TestApi;
let csr: string;
beforeAll(async () => {
  api = await startTestApi();
  const key = join(api.directory, 'request.key');
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key]);
  csr = openssl([
    'req',
    '-new',
    '-key',
    key,
    '-subj',
    '/O=test',
    '-addext',
    'subjectAltName=URI:spiffe://a/ns/b/sa/c',
  ]);
});
afterAll(() => api.close());

const request = (name: string, spec: Record<string, unknown> = {}) => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name },
  spec: { request: Buffer.from(csr).toString('base64'), signerName, usages: ['client auth'], ...spec },
});

async function waitFor(what: () => Promise<boolean>): Promise<void> {
  await expect.poll(what).toBe(true);
}

describe.skipIf('missing' in found)(
  `kubectl${'missing' in found ? ` (skipped: ${found.missing})` : ''}`,
  () => {
    let kubectl: Kubectl;
    beforeAll(() => {
      kubectl = createKubectl('path' in found ? found.path : '', api.kubeconfig, api.directory);
    });

    test('approve, sign, read', async () => {
      const authority = opensslCertificate({ directory: api.directory, name: 'signer-ca' });
      const signer = startSigner(api, { signerName, authority });
      await kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(request('one')) });
      expect(await kubectl.ok(['get', 'csr', 'one'])).toMatch(
        /one .*example.com\/mesh +admin +<none> +Pending/,
      );
      expect(await kubectl.ok(['certificate', 'approve', 'one'])).toContain('one approved');
      await waitFor(async () => (await kubectl.ok(['get', 'csr', 'one'])).includes('Approved,Issued'));
      const pem = await kubectl.ok(['get', 'csr', 'one', '-o', 'jsonpath={.status.certificate}']);
      expect(Buffer.from(pem, 'base64').toString()).toContain('BEGIN CERTIFICATE');
      signer.stop();
    });

    test('deny', async () => {
      await kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(request('two')) });
      expect(await kubectl.ok(['certificate', 'deny', 'two'])).toContain('two denied');
      expect(await kubectl.ok(['get', 'csr', 'two'])).toContain('Denied');
      const { code, stderr } = await kubectl.run(['certificate', 'approve', 'two']);
      expect([code, stderr]).toEqual([1, expect.stringContaining('already Denied')]);
    });
  },
);

test('what is no request is refused with the field', async () => {
  const answer = await api.call('POST', path, {
    body: request('bad', { request: 'AAAA', signerName: 'nothing', usages: [], expirationSeconds: 60 }),
  });
  expect(answer.status).toBe(422);
  for (const field of ['spec.request', 'spec.signerName', 'spec.usages', 'spec.expirationSeconds'])
    expect(answer.text).toContain(field);
});

test('the requester is the caller, whatever the request says; what was asked for stays', async () => {
  const made = await api.call('POST', path, {
    body: request('three', { username: 'root', groups: ['x'], uid: '1' }),
  });
  expect(made.json.spec).toMatchObject({
    username: 'admin',
    groups: ['system:masters', 'system:authenticated'],
  });
  const changed = { ...made.json, spec: { ...made.json.spec, signerName: 'other.com/x' } };
  expect((await api.call('PUT', `${path}/three`, { body: changed })).json.spec.signerName).toBe(signerName);
  // Neither status nor approval writes the other's part.
  const both = {
    conditions: [{ type: 'Approved', status: 'True' }],
    certificate: Buffer.from('x').toString('base64'),
  };
  const status = await api.call('PUT', `${path}/three/status`, {
    body: { ...made.json, metadata: { name: 'three' }, status: both },
  });
  expect(status.json.status).toEqual({ certificate: both.certificate });
  const approved = await api.call('PUT', `${path}/three/approval`, {
    body: { ...made.json, metadata: { name: 'three' }, status: { ...both, certificate: 'eXl5' } },
  });
  expect(approved.json.status).toMatchObject({
    certificate: both.certificate,
    conditions: [{ type: 'Approved' }],
  });
});

test('approved and denied exclude each other', async () => {
  await api.call('POST', path, { body: request('five') });
  const decide = (type: string) =>
    api.call('PUT', `${path}/five/approval`, {
      body: { ...request('five'), status: { conditions: [{ type, status: 'True' }] } },
    });
  expect((await decide('Denied')).status).toBe(200);
  const second = await decide('Approved');
  expect([second.status, second.text]).toEqual([422, expect.stringContaining('exclude each other')]);
});

test('approving and signing need the permission for the signer', async () => {
  await api.call('POST', path, { body: request('four') });
  const rules = (resourceNames: string[], verbs: string[]) => [
    {
      apiGroups: ['certificates.k8s.io'],
      resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
      verbs: ['update'],
    },
    { apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames, verbs },
  ];
  const as = async (user: string, resourceNames: string[], verbs: string[]) => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: user },
      rules: rules(resourceNames, verbs),
    };
    expect((await api.call('POST', `${rbac}/clusterroles`, { body: role })).status).toBe(201);
    const binding = {
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: user } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: user },
      subjects: [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }],
    };
    expect((await api.call('POST', `${rbac}/clusterrolebindings`, { body: binding })).status).toBe(201);
    const body = { ...request('four'), status: { conditions: [{ type: 'Approved', status: 'True' }] } };
    return (await api.call('PUT', `${path}/four/approval`, { body, as: await api.user(user) })).status;
  };
  expect(await as('signs-only', [signerName], ['sign'])).toBe(403);
  expect(await as('other-signer', ['other.com/mesh'], ['approve'])).toBe(403);
  expect(await as('approver', ['example.com/*'], ['approve'])).toBe(200);
});
