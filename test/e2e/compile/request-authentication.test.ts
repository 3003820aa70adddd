import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { base64url, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchedKeysKind } from '../../../src/features/security/request-authentication/schema.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

const issuer = 'https://issuer.example';
let mesh: CompiledMesh;
let server: TestEnvoy;
let app: Server | undefined;
let keyServer: Server;
let listen: number;
let rsa: Pair;
let ec: Pair;
let stranger: Pair;
let keySet: string;

beforeAll(async () => {
  rsa = await generateKeyPair('RS256', { extractable: true });
  ec = await generateKeyPair('ES256', { extractable: true });
  stranger = await generateKeyPair('RS256');
  keySet = JSON.stringify({
    keys: [
      { ...(await exportJWK(rsa.publicKey)), kid: 'rsa', alg: 'RS256' },
      { ...(await exportJWK(ec.publicKey)), kid: 'ec' },
    ],
  });
  keyServer = createServer({ keepAliveTimeout: 0 }, (_, response) => response.end(keySet));
  await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve));
  const [inbound, application] = (await freePorts(2)) as [number, number];
  listen = inbound;
  app = await startEcho('v1', application);
  const workload = { name: 'reviews', port: 9080, listen, application };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: key-server, namespace: default}
spec:
  hosts: [keys.mesh]
  resolution: STATIC
  ports: [{number: 8000, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${(keyServer.address() as AddressInfo).port}}}]
`,
    { defaultMtlsMode: 'PERMISSIVE' },
  );
  server = await startServerProxy(mesh, workload);
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  keyServer?.close();
});

let generation = 0;

/** Puts a rule in place of the earlier one and waits until the sidecar has it. */
async function use(rule: object, policies = ''): Promise<void> {
  const marker = `marker-${++generation}`;
  const authentication = JSON.stringify({
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'users' },
    spec: { jwtRules: [{ issuer, ...rule }] },
  });
  mesh.apply(`${authentication}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: marker}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/${marker}]}}]}]}
${policies}`);
  // Each worker takes the change in its own time, and on a busy machine one worker may take all connections of a moment: the newest rule
  // must hold on many at once, several times with a pause between.
  let held = 0;
  const holds = async () => {
    const asked = Array.from({ length: 16 }, () => call(listen, `/${marker}`));
    const all = (await Promise.all(asked)).every(({ status }) => status === 403);
    held = all ? held + 1 : 0;
    return held;
  };
  await expect.poll(holds, { interval: 30 }).toBe(4);
}

interface TokenOptions {
  readonly key?: Pair['privateKey'] | Uint8Array;
  readonly alg?: string;
  readonly kid?: string;
  readonly issuer?: string;
  readonly audience?: string | string[];
  readonly expires?: number;
  readonly claims?: JWTPayload;
}

function token(options: TokenOptions = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const signing = new SignJWT({ sub: 'alice', ...options.claims })
    .setProtectedHeader({ alg: options.alg ?? 'RS256', kid: options.kid ?? 'rsa' })
    .setIssuer(options.issuer ?? issuer)
    .setIssuedAt(now - 100)
    .setExpirationTime(options.expires ?? now + 3600);
  if (options.audience !== undefined) signing.setAudience(options.audience);
  return signing.sign(options.key ?? rsa.privateKey);
}

const withToken = (text: string) => ({ authorization: `Bearer ${text}` });
const statusOf = async (text: string) => (await call(listen, '/', withToken(text))).status;

test('the token matrix: only a token that the issuer signed, for us and now, is let in', async () => {
  await use({ jwks: keySet, audiences: ['reviews'] });
  const unsigned = `${base64url.encode(JSON.stringify({ alg: 'none' }))}.${base64url.encode(
    JSON.stringify({ iss: issuer, aud: 'reviews', exp: 4_000_000_000 }),
  )}.`;
  // The RSA key's public text as the secret of an HMAC: a verifier that took it for one would be fooled.
  const confused = await token({
    alg: 'HS256',
    key: new TextEncoder().encode(await exportSPKI(rsa.publicKey)),
    audience: 'reviews',
  });
  const aud = { audience: 'reviews' };
  const matrix: [string, string, number][] = [
    ['RSA', await token(aud), 200],
    ['EC', await token({ ...aud, alg: 'ES256', key: ec.privateKey, kid: 'ec' }), 200],
    ['one audience of several', await token({ audience: ['x', 'reviews'] }), 200],
    ['no audience', await token(), 403],
    ['another audience', await token({ audience: 'ratings' }), 403],
    ['algorithm none', unsigned, 401],
    ['key confusion', confused, 401],
    ['a stranger’s signature', await token({ ...aud, key: stranger.privateKey }), 401],
    ['an unknown key id', await token({ ...aud, kid: 'other' }), 401],
    ['another issuer', await token({ ...aud, issuer: 'https://evil.example' }), 401],
    ['expired', await token({ ...aud, expires: Math.floor(Date.now() / 1000) - 3600 }), 401],
    ['no token at all', 'x.y', 401],
    ['oversized', await token({ ...aud, claims: { filler: 'x'.repeat(100_000) } }), 431],
  ];
  for (const [name, text, expected] of matrix) expect([name, await statusOf(text)]).toEqual([name, expected]);
  expect((await call(listen, '/')).status).toBe(200);
});

test('claims reach policies and the application, and callers cannot forge them', async () => {
  await use(
    {
      jwks: keySet,
      forwardOriginalToken: true,
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
    },
    `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admins}
spec:
  rules:
  - from: [{source: {requestPrincipals: ["${issuer}/alice"]}}]
    when: [{key: "request.auth.claims[groups]", values: [admins]}, {key: "request.auth.claims[scope]", values: [write]}]
`,
  );
  const claims = { groups: ['users', 'admins'], scope: 'read write' };
  const admitted = await call(listen, '/', { ...withToken(await token({ claims })), 'x-user': 'forged' });
  expect(admitted.status).toBe(200);
  const seen = JSON.parse(admitted.body) as { headers: Record<string, string> };
  expect(seen.headers['x-user']).toBe('alice');
  expect(JSON.parse(atob(seen.headers['x-payload'] as string))).toMatchObject({ sub: 'alice' });
  expect(seen.headers.authorization).toMatch(/^Bearer /);
  expect(await statusOf(await token({ claims: { ...claims, groups: ['users'] } }))).toBe(403);
  expect(await statusOf(await token({ claims: { ...claims, sub: 'bob' } }))).toBe(403);
  expect((await call(listen, '/', { 'x-user': 'alice', 'x-payload': 'e30' })).status).toBe(403);
  mesh.apply('', ['AuthorizationPolicy/default/admins']);
});

test('a token is found where the rule says, and elsewhere it is not looked for', async () => {
  await use({
    jwks: keySet,
    fromHeaders: [{ name: 'x-token', prefix: 'Token ' }],
    fromParams: ['t'],
    fromCookies: ['session'],
  });
  const bad = await token({ key: stranger.privateKey });
  expect(await statusOf(bad)).toBe(200);
  expect((await call(listen, '/', { 'x-token': `Token ${bad}` })).status).toBe(401);
  expect((await call(listen, `/?t=${bad}`)).status).toBe(401);
  expect((await call(listen, '/', { cookie: `session=${bad}` })).status).toBe(401);
  expect((await call(listen, '/', { 'x-token': `Token ${await token()}` })).status).toBe(200);
});

test('keys that were not fetched let nobody in; once they are here, and when they change, tokens are judged by them', async () => {
  await use({ jwksUri: 'https://issuer.example/keys' });
  const good = await token();
  expect(await statusOf(good)).toBe(401);
  expect((await call(listen, '/')).status).toBe(200);
  const fetched = (keys: string | undefined) => {
    mesh.engine.apply([
      { kind: fetchedKeysKind.name, key: 'https://issuer.example/keys', value: keys && { keys } },
    ]);
    mesh.engine.flush();
  };
  fetched(keySet);
  await expect.poll(() => statusOf(good)).toBe(200);
  fetched(JSON.stringify({ keys: [{ ...(await exportJWK(stranger.publicKey)), kid: 'rsa' }] }));
  await expect.poll(() => statusOf(good)).toBe(401);
});

test('keys without any good one break no proxy', async () => {
  await use({ jwks: '{"keys":[{"kty":"RSA","n":"abc","e":"def"}]}' });
  expect(await statusOf(await token())).toBe(401);
  expect((await call(listen, '/')).status).toBe(200);
});

test('a service of the mesh is asked for its keys by the proxy itself', async () => {
  await use({ jwksUri: 'http://keys.mesh:8000/keys' });
  expect(await statusOf(await token())).toBe(200);
  expect(await statusOf(await token({ key: stranger.privateKey }))).toBe(401);
});

test('of two issuers each signs for itself', async () => {
  await use({ jwks: keySet });
  mesh.apply(
    JSON.stringify({
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'second', namespace: 'istio-system' },
      spec: {
        jwtRules: [
          {
            issuer: 'https://second.example',
            jwks: JSON.stringify({ keys: [await exportJWK(stranger.publicKey)] }),
          },
        ],
      },
    }),
  );
  const second = { issuer: 'https://second.example', key: stranger.privateKey };
  await expect.poll(async () => statusOf(await token(second))).toBe(200);
  expect(await statusOf(await token())).toBe(200);
  expect(await statusOf(await token({ ...second, key: rsa.privateKey }))).toBe(401);
  expect(await statusOf(await token({ key: stranger.privateKey }))).toBe(401);
  expect(await rejectedUpdates(server)).toBe(0);
});

test('a gateway routes by the claims of a verified token alone', async () => {
  const [port] = (await freePorts(1)) as [number];
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {app: front}, servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: by-claims}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - match: [{headers: {"@request.auth.claims.groups": {exact: admins}}}]
    directResponse: {status: 202}
  - match: [{headers: {"@request.auth.claims.sub": {regex: "a.*"}}}]
    directResponse: {status: 203}
  - directResponse: {status: 204}
---
${JSON.stringify({
  apiVersion: 'security.istio.io/v1',
  kind: 'RequestAuthentication',
  metadata: { name: 'users' },
  spec: { jwtRules: [{ issuer, jwks: keySet }] },
})}
`);
  const gateway = await mesh.envoy({ type: 'router', name: 'front', labels: { app: 'front' } });
  const status = async (headers: Record<string, string>) => (await call(port, '/', headers)).status;
  await expect.poll(() => status({}).catch(() => 0)).toBe(204);
  expect(await status(withToken(await token({ claims: { groups: ['x', 'admins'] } })))).toBe(202);
  expect(await status(withToken(await token()))).toBe(203);
  expect(await status(withToken(await token({ claims: { sub: 'bob' } })))).toBe(204);
  const forged = await token({ key: stranger.privateKey, claims: { groups: ['admins'] } });
  expect(await status(withToken(forged))).toBe(401);
  expect(await rejectedUpdates(gateway)).toBe(0);
});
