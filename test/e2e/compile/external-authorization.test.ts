import type { Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type AuthorizationServers, startAuthorizationServers } from '../../support/authorization-servers.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';

let mesh: CompiledMesh;
let server: TestEnvoy;
let app: Server | undefined;
let authorizers: AuthorizationServers;
let listen: number;

beforeAll(async () => {
  authorizers = await startAuthorizationServers();
  const [inbound, application] = (await freePorts(2)) as [number, number];
  listen = inbound;
  app = await startEcho('v1', application);
  const entry = (name: string, protocol: string, port: number) => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: auth}
spec:
  hosts: [${name}.auth.mesh]
  resolution: STATIC
  ports: [{number: 8000, name: ${protocol}, protocol: ${protocol.toUpperCase()}}]
  endpoints: [{address: 127.0.0.1, ports: {${protocol}: ${port}}}]
`;
  const workload = { name: 'reviews', port: 9080, listen, application };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
${entry('checker', 'http', authorizers.httpPort)}
${entry('engine', 'grpc', authorizers.grpcPort)}
${entry('dead', 'grpc', 1)}
`,
    {
      defaultMtlsMode: 'PERMISSIVE',
      extensionProviders: [
        {
          name: 'checker',
          envoyExtAuthzHttp: {
            service: 'checker.auth.mesh',
            port: 8000,
            pathPrefix: '/check',
            includeRequestHeadersInCheck: ['x-ext-*'],
            includeAdditionalHeadersInCheck: { 'x-mesh': 'one' },
            headersToUpstreamOnAllow: ['x-user'],
            headersToDownstreamOnDeny: ['x-reason'],
          },
        },
        { name: 'engine', envoyExtAuthzGrpc: { service: 'engine.auth.mesh', port: 8000 } },
        { name: 'dead', envoyExtAuthzGrpc: { service: 'dead.auth.mesh', port: 8000, statusOnError: '503' } },
        { name: 'dead-open', envoyExtAuthzGrpc: { service: 'dead.auth.mesh', port: 8000, failOpen: true } },
      ],
    },
  );
  mesh.apply(
    [
      policy('checker', '/http*'),
      policy('engine', '/grpc*'),
      policy('engine', '*/both'),
      policy('checker', '/http/both'),
      policy('dead', '/dead'),
      policy('dead-open', '/open'),
      policy('nobody', '/nobody'),
    ].join('\n---\n'),
  );
  server = await startServerProxy(mesh, workload);
});

beforeEach(() => authorizers.forget());

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  authorizers?.close();
});

let policies = 0;

function policy(provider: string, path: string): string {
  return JSON.stringify({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `ask-${policies++}` },
    spec: {
      action: 'CUSTOM',
      provider: { name: provider },
      rules: [{ to: [{ operation: { paths: [path] } }] }],
    },
  });
}

const allow = { 'x-ext-authz': 'allow' };

test('an HTTP authorizer is asked with what its provider says, and its answer decides', async () => {
  const admitted = await call(listen, '/http/x', { ...allow, 'x-secret': '1', 'x-user': 'forged' });
  expect(admitted.status).toBe(200);
  expect(parseEcho(admitted).headers['x-user']).toBe('from-checker');
  const { asked } = authorizers;
  expect(asked).toMatchObject([
    { by: 'http', path: '/check/http/x', headers: { 'x-ext-authz': 'allow', 'x-mesh': 'one' } },
  ]);
  expect(asked[0]?.headers).not.toHaveProperty('x-secret');
  const refused = await call(listen, '/http/x');
  expect([refused.status, refused.body, refused.headers['x-reason']]).toEqual([
    401,
    'denied by the checker',
    'not allowed',
  ]);
});

test('a gRPC authorizer likewise; what no CUSTOM policy matches asks nobody', async () => {
  expect((await call(listen, '/grpc', allow)).status).toBe(200);
  expect((await call(listen, '/grpc')).status).toBe(403);
  expect(authorizers.asked.map(({ by, path }) => `${by} ${path}`)).toEqual(['grpc /grpc', 'grpc /grpc']);
  authorizers.forget();
  expect((await call(listen, '/free')).status).toBe(200);
  expect(authorizers.asked).toEqual([]);
});

test('each of two providers must agree', async () => {
  expect((await call(listen, '/http/both', allow)).status).toBe(200);
  expect(authorizers.asked.map(({ by }) => by).sort()).toEqual(['grpc', 'http']);
});

test('an authorizer that cannot be asked refuses, unless it was told to let pass', async () => {
  expect((await call(listen, '/dead', allow)).status).toBe(503);
  expect((await call(listen, '/open')).status).toBe(200);
  expect((await call(listen, '/nobody', allow)).status).toBe(403);
  expect(await rejectedUpdates(server)).toBe(0);
});
