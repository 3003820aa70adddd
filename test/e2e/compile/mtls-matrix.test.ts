// Who may speak to a workload: every kind of client, against every mode, chosen at every level, on a real Envoy.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultMeshConfig } from '../../../src/registry/mesh-config.ts';
import { type OpensslAuthority, opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const fqdn = 'reviews.shop.svc.cluster.local';
const member = 'spiffe://cluster.local/ns/shop/sa/web';

let directory: string;
let mesh: CompiledMesh;
let server: TestEnvoy;
let app: Server | undefined;
/** Of the service's two ports: where the server listens, and where a sidecar of the mesh takes calls for them. */
let ports: Record<'first' | 'second', { listen: number; sidecar: number }>;
let clients: Record<string, (port: keyof typeof ports) => Promise<unknown>>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-matrix-'));
  const [first, second, viaFirst, viaSecond, application] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  ports = {
    first: { listen: first, sidecar: viaFirst },
    second: { listen: second, sidecar: viaSecond },
  };
  app = await startEcho('v1', application);
  mesh = await startCompiledMesh(`
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}, {name: http-second, port: 9090}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, namespace: shop}
spec:
  address: 127.0.0.1
  ports: {http: ${first}, http-second: ${second}}
  labels: {app: reviews, security.istio.io/tlsMode: istio}
  serviceAccount: reviews
`);
  const inbound = (servicePort: number, listen: number) => ({
    ...{ servicePort, listen, app: application, protocol: 'http' },
  });
  server = await mesh.envoy(
    {
      name: 'reviews-v1',
      namespace: 'shop',
      labels: { app: 'reviews' },
      metadata: {
        OSTRIA_CAPTURE: {
          ...{ outbound: {}, inbound: [inbound(9080, first), inbound(9090, second)], httpProxy: 0 },
        },
      },
    },
    { serviceAccount: 'reviews' },
  );
  await mesh.envoy(
    {
      name: 'web',
      namespace: 'shop',
      metadata: {
        OSTRIA_CAPTURE: {
          outbound: { [`${fqdn}:9080`]: viaFirst, [`${fqdn}:9090`]: viaSecond },
          ...{ inbound: [], httpProxy: 0 },
        },
      },
    },
    { serviceAccount: 'web' },
  );
  clients = makeClients();
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  rmSync(directory, { recursive: true, force: true });
});

function makeClients(): typeof clients {
  const certificate = (name: string, uri: string, more: { days?: number; issuer?: OpensslAuthority } = {}) =>
    opensslCertificate({
      ...{ directory, name, issuer: mesh.authority, ca: false, names: [uri] },
      ...more,
    });
  const overTls =
    (identity?: OpensslAuthority, alpn = 'istio') =>
    (port: keyof typeof ports): Promise<unknown> =>
      call(
        ports[port].listen,
        '/',
        { host: fqdn },
        {
          tls: true,
          // The server's certificate must be one of the mesh; it names no host.
          ca: mesh.authority.certificate,
          checkServerIdentity: () => undefined,
          ALPNProtocols: [alpn],
          ...(identity ? { key: identity.key, cert: identity.certificate } : {}),
        },
      );
  const other = opensslCertificate({ directory, name: 'other-root' });
  const memberCertificate = certificate('member', member);
  return {
    plaintext: (port) => call(ports[port].listen, '/', { host: fqdn }),
    'TLS without a certificate': overTls(),
    mTLS: overTls(memberCertificate),
    'mTLS without the ALPN of a mesh': overTls(memberCertificate, 'http/1.1'),
    'no identity of the mesh': overTls(certificate('wrong', 'web.example.com')),
    expired: overTls(certificate('expired', member, { days: -1 })),
    'other trust domain': overTls(certificate('foreign', 'spiffe://elsewhere.example/ns/shop/sa/web')),
    'trust domain that only begins alike': overTls(
      certificate('alike', 'spiffe://cluster.local.evil.example/ns/shop/sa/web'),
    ),
    'other authority': overTls(certificate('forged', member, { issuer: other })),
    'a sidecar of the mesh': (port) => call(ports[port].sidecar, '/', { host: fqdn }),
  };
}

type Mode = 'STRICT' | 'PERMISSIVE' | 'DISABLE';
const modes: readonly Mode[] = ['STRICT', 'PERMISSIVE', 'DISABLE'];
const taken: Record<Mode, readonly string[]> = {
  STRICT: ['a sidecar of the mesh', 'mTLS', 'mTLS without the ALPN of a mesh'],
  // Mutual TLS is told by its ALPN; other TLS passes on no port that is declared HTTP.
  PERMISSIVE: ['a sidecar of the mesh', 'mTLS', 'plaintext'],
  // TLS is passed on as it comes.
  DISABLE: ['a sidecar of the mesh', 'plaintext'],
};

/** Who is answered with 200 on a port. Everybody else is refused before the application sees a request. */
async function answered(port: keyof typeof ports): Promise<string[]> {
  const outcomes = await Promise.all(
    Object.entries(clients).map(async ([name, ask]) => {
      const status = await ask(port).then(
        (answer) => (answer as { status: number }).status,
        () => 'refused',
      );
      return status === 200 ? [name] : status === 'refused' ? [] : [`${name}: ${status}`];
    }),
  );
  return outcomes.flat().sort();
}

const levels = ['mesh', 'namespace', 'workload', 'port'] as const;

/** The object of a level. A port's setting belongs to the workload's object. */
function policy(level: (typeof levels)[number], mode: Mode, otherPorts: Mode): string {
  const selector = level === 'workload' || level === 'port' ? '{matchLabels: {app: reviews}}' : '{}';
  const own =
    level === 'port' ? `{mode: ${otherPorts}}\n  portLevelMtls: {9080: {mode: ${mode}}}` : `{mode: ${mode}}`;
  return `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${level === 'port' ? 'workload' : level}, namespace: ${level === 'mesh' ? 'istio-system' : 'shop'}}
spec:
  selector: ${selector}
  mtls: ${own}
`;
}

/** What the levels above say, so that a level which is not looked at shows. */
const opposite: Record<Mode, Mode> = { STRICT: 'DISABLE', PERMISSIVE: 'STRICT', DISABLE: 'STRICT' };

const cases = levels.flatMap((level, depth) => modes.map((mode) => ({ level, mode, depth })));

test.each(cases)('$mode by the $level', async ({ level, mode, depth }) => {
  const above = opposite[mode];
  const higher = levels.slice(0, depth).map((name) => policy(name, above, above));
  mesh.apply([...higher, policy(level, mode, above)].join('---'));
  const others = level === 'port' ? above : mode;
  await expect.poll(() => answered('first'), { interval: 50 }).toEqual(taken[mode]);
  await expect.poll(() => answered('second'), { interval: 50 }).toEqual(taken[others]);
});

test('without any object: the mesh’s default, and nothing was refused by a proxy', async () => {
  mesh.apply(
    '',
    ['istio-system/mesh', 'shop/namespace', 'shop/workload'].map(
      (key) => `PeerAuthentication.security.istio.io/${key}`,
    ),
  );
  const { defaultMtlsMode } = defaultMeshConfig;
  await expect.poll(() => answered('first'), { interval: 50 }).toEqual(taken[defaultMtlsMode]);
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(server)).toBe(0);
});
