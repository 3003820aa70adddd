// Whose word counts: tokens of our own API server, of another one that is asked, quotas of connects.
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../test/support/api-server.ts';
import { createKubectl, findKubectl } from '../../test/support/kubectl.ts';
import { authenticatePeer } from '../ca/authenticate.ts';
import { type CertificateAuthority, createAuthority, createSelfSigned } from '../ca/authority.ts';
import { createKey } from '../ca/certificate-signing-request.ts';
import { openJoinTokens } from '../ca/join-token.ts';
import { type IdentitySettings, noIdentitySettings } from '../ca/settings/identity-settings.ts';
import { createLog } from './log.ts';
import { type Admission, createAdmission } from './who-may-connect.ts';

let api: TestApi;
let directory: string;
let authority: CertificateAuthority;

beforeAll(async () => {
  api = await startTestApi();
  directory = mkdtempSync(join(tmpdir(), 'ostria-connect-'));
  authority = await createAuthority(await createSelfSigned());
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  await call('POST', accounts, { metadata: { name: 'cart' } });
});
afterAll(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

const accounts = '/api/v1/namespaces/shop/serviceaccounts';

async function call(method: string, path: string, body?: unknown): Promise<{ status?: { token?: string } }> {
  const answer = await api.call(method, path, body === undefined ? {} : { body });
  if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.text}`);
  return answer.json as { status?: { token?: string } };
}

const tokenFor = async (account: string, audiences = ['istio-ca'], more = {}): Promise<string> => {
  const spec = { audiences, expirationSeconds: 600, ...more };
  return (await call('POST', `${accounts}/${account}/token`, { spec })).status?.token ?? '';
};

function open(settings: Partial<IdentitySettings> = {}): Admission {
  return createAdmission({
    settings: { ...noIdentitySettings, ...settings },
    tokens: openJoinTokens({ directory: join(directory, 'tokens') }),
    trustDomains: ['cluster.local'],
    log: createLog('error'),
  });
}

async function whoIs(admission: Admission, bearerToken: string): Promise<string> {
  const result = await authenticatePeer(admission.forCertificates, {
    address: '',
    certificate: undefined,
    bearerToken,
  });
  if (!result.ok) return result.reason;
  const { namespace, serviceAccount } = result.caller.identity;
  return `${namespace}/${serviceAccount}`;
}

test('tokens of our own API server count for its accounts, for our audience, as long as the account is there', async () => {
  const admission = open();
  const token = await tokenFor('cart');
  expect(await whoIs(admission, token)).toMatch(/no credential/);
  admission.useAccountTokens(api.server.tokens);
  expect(await whoIs(admission, token)).toBe('shop/cart');
  expect(await whoIs(admission, await tokenFor('cart', ['another']))).toMatch(/aud/);
  expect(await whoIs(admission, `${token.slice(0, -4)}AAAA`)).toMatch(/verif/);
  await call('POST', accounts, { metadata: { name: 'gone' } });
  const gone = await tokenFor('gone');
  await call('DELETE', `${accounts}/gone`);
  expect(await whoIs(admission, gone)).toMatch(/is gone/);
});

test.skipIf('missing' in findKubectl())('kubectl create token makes them', async () => {
  const found = findKubectl();
  const kubectl = createKubectl('path' in found ? found.path : '', api.kubeconfig, directory);
  const token = (
    await kubectl.ok(['create', 'token', 'cart', '-n', 'shop', '--audience', 'istio-ca'])
  ).trim();
  const admission = open();
  admission.useAccountTokens(api.server.tokens);
  expect(await whoIs(admission, token)).toBe('shop/cart');
});

test('another API server is asked by TokenReview', async () => {
  const reviewer = { kubeconfig: api.kubeconfig, audiences: ['istio-ca'] };
  const admission = open({ tokenReviews: [reviewer] });
  expect(await whoIs(admission, await tokenFor('cart'))).toBe('shop/cart');
  expect(await whoIs(admission, await tokenFor('cart', ['another']))).toMatch(/does not verify/);
  expect(await whoIs(admission, 'a.b.c')).toMatch(/does not verify/);
  // Bound to a pod that is gone: a key alone could not tell.
  const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  await call('POST', '/api/v1/namespaces/shop/pods', pod);
  const bound = await tokenFor('cart', ['istio-ca'], {
    boundObjectRef: { kind: 'Pod', name: 'p', apiVersion: 'v1' },
  });
  await call('DELETE', '/api/v1/namespaces/shop/pods/p');
  expect(await whoIs(admission, bound)).toMatch(/pod .* is gone/);
  // Nobody may ask, or nobody answers: nobody comes in.
  const nobody = {
    server: api.server.url,
    caFile: file('ca.pem', api.pki.authorityPem),
    audiences: ['istio-ca'],
  };
  expect(await whoIs(open({ tokenReviews: [nobody] }), await tokenFor('cart'))).toMatch(/answers 40[13]/);
  const down = { ...nobody, server: 'https://127.0.0.1:1' };
  expect(await whoIs(open({ tokenReviews: [down] }), await tokenFor('cart'))).toMatch(/was not reviewed/);
});

test('our API server’s keys serve where tokens are checked without asking it', async () => {
  const viewer = {
    ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'keys' } },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'system:service-account-issuer-discovery',
    },
    subjects: [{ kind: 'Group', name: 'system:masters', apiGroup: 'rbac.authorization.k8s.io' }],
  };
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', viewer);
  const keysFile = file('keys.json', (await api.call('GET', '/openid/v1/jwks')).text);
  const issuer = {
    issuer: api.server.tokens.issuer,
    audiences: ['istio-ca'],
    keysFile,
    identities: 'kubernetes' as const,
  };
  const admission = open({ tokens: [issuer] });
  expect(await whoIs(admission, await tokenFor('cart'))).toBe('shop/cart');
  expect(await whoIs(admission, await tokenFor('cart', ['another']))).toMatch(/"aud"/);
});

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

async function certificateOf(serviceAccount: string): Promise<X509Certificate> {
  const publicKey = createPublicKey(await createKey()).export({ format: 'der', type: 'spki' });
  const uris = [`spiffe://cluster.local/ns/shop/sa/${serviceAccount}`];
  return new X509Certificate((await authority.issue({ publicKey, uris })).certificate);
}

test('connects are bounded per identity, at one time and in time, and per address', async () => {
  const admission = open({
    limits: {
      streamsPerIdentity: 2,
      connectsPerIdentity: { burst: 4, perSecond: 0.001 },
      connectsPerAddress: { burst: 7, perSecond: 0.001 },
    },
  });
  const [cart, other] = [await certificateOf('cart'), await certificateOf('other')];
  const connect = (peerCertificate: X509Certificate | undefined, remoteAddress = '127.0.0.1') =>
    Promise.resolve(
      admission.forXds({ listener: 'tls', remoteAddress, peerCertificate, bearerToken: undefined }),
    );
  const first = await connect(cart);
  expect(first).toMatchObject({ ok: true, identity: { namespace: 'shop', serviceAccount: 'cart' } });
  expect(await connect(cart)).toMatchObject({ ok: true });
  expect(await connect(cart)).toMatchObject({
    ok: false,
    exhausted: true,
    error: expect.stringContaining('2 streams open'),
  });
  if (first.ok) first.release?.();
  expect(await connect(cart)).toMatchObject({ ok: true });
  expect(await connect(cart)).toMatchObject({
    ok: false,
    exhausted: true,
    error: expect.stringContaining('too often'),
  });
  expect(await connect(other)).toMatchObject({ ok: true });
  // Strangers of one address do not use up what others have.
  for (let i = 0; i < 7; i++) await connect(undefined, '192.0.2.1');
  expect(await connect(other, '192.0.2.1')).toMatchObject({ ok: false, exhausted: true });
  expect(await connect(other, '192.0.2.2')).toMatchObject({ ok: true });
});

test('a token opens xDS as the identity that it proves', async () => {
  const admission = open();
  admission.useAccountTokens(api.server.tokens);
  const connect = (bearerToken: string) =>
    Promise.resolve(
      admission.forXds({
        listener: 'tls',
        remoteAddress: '192.0.2.1',
        peerCertificate: undefined,
        bearerToken,
      }),
    );
  expect(await connect(await tokenFor('cart'))).toMatchObject({
    ok: true,
    identity: { serviceAccount: 'cart' },
  });
  expect(await connect('a.b.c')).toEqual({ ok: false, error: 'the credential was not accepted' });
});
