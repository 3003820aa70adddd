// Whom workloads trust, on real Envoys under load: another trust domain, revoked certificates, a replaced intermediate, short lives.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeMaterial } from '../../../src/ca/authority-files.ts';
import type { RingStatus } from '../../../src/ca/ring-status.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import { typeUrls } from '../../../src/snapshot/resource.ts';
import { type OpensslAuthority, opensslCertificate } from '../../support/authority.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { call } from '../../support/http-echo.ts';
import { startLoad } from '../../support/load.ts';
import { revocationList } from '../../support/revocation-list.ts';
import { DeltaClient } from '../../xds/fake-envoy.ts';

let directory: string;
let mesh: HelloMesh;
let root: OpensslAuthority;
let first: OpensslAuthority;

const source = () => join(directory, 'mine');
const material = (signer: OpensslAuthority, crl?: string) => ({
  certificate: signer.certificate,
  key: signer.key,
  root: root.certificate,
  chain: signer.certificate,
  ...(crl === undefined ? {} : { crl }),
});

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-trust-'));
  // A root of RSA and intermediates of ECDSA.
  root = opensslCertificate({ directory, name: 'root', algorithm: 'RSA' });
  first = opensslCertificate({ directory, name: 'first', issuer: root });
  await writeMaterial(source(), material(first));
  mesh = await openHelloMesh(['--ca', source(), '--trust-sync', '0.5'], 'trustDomain: prod.example\n');
  // A connection per request: every one is a handshake between two workloads.
  await mesh.apply(
    networkingObject('DestinationRule', 'handshakes', {
      host: 'helloworld',
      trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } },
    }),
  );
});
afterAll(async () => {
  await mesh?.close();
  rmSync(directory, { recursive: true, force: true });
});

const status = () => mesh.client.get<RingStatus>('/debug/ca');

const meshSettings = (settings: unknown): ConfigObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'istio', namespace: 'istio-system' },
  data: { mesh: JSON.stringify(settings) },
});

/** The leaf of a workload, as its agent keeps it. */
const leafOf = (workload: string) =>
  new X509Certificate(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(
      readFileSync(mesh.state('workloads', workload, 'identity.pem'), 'utf8'),
    )?.[0] ?? '',
  );

interface Caller {
  key: string;
  cert: string;
}

function caller(name: string, issuer: OpensslAuthority, identity: string, chain = ''): Caller {
  const made = opensslCertificate({ directory, name, issuer, ca: false, names: [identity] });
  return { key: made.key, cert: made.certificate + chain };
}

/** What helloworld's sidecar says to a caller with a certificate: a status, or why there is none. */
async function ask({ key, cert }: Caller): Promise<number | string> {
  const { instances } = await mesh.ostria.status();
  const port = instances.find(({ name }) => name === 'helloworld-v1-0')?.endpoints[0]?.listen ?? 0;
  // Up to TLS 1.2 the client learns within the handshake that it is refused.
  const options = {
    tls: true,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    timeout: 30_000,
    key,
    cert,
  } as const;
  return call(port, '/hello', { host: 'helloworld:5000' }, options).then(
    (answer) => answer.status,
    (error: Error) => error.message,
  );
}

const answers = (who: Caller) => expect.poll(() => ask(who), { interval: 250 });
const refused = expect.stringMatching(/alert|certificate|ECONNRESET|hang up/i);

async function underLoad(work: () => Promise<void>): Promise<void> {
  const loads = [mesh.helloFromSleep, mesh.ingress].map((url) => startLoad(url, { perSecond: 20 }));
  // However fast it is: enough requests to tell.
  await Promise.all([work(), new Promise((resolve) => setTimeout(resolve, 2_000))]);
  const results = await Promise.all(loads.map((load) => load.stop()));
  expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { requests } of results) expect(requests).toBeGreaterThan(20);
}

/** How the control plane answers a caller who says of himself that he is this node: the names of the secrets that he gets, or his refusal. */
async function secretsOf(who: Caller, id: string, serviceAccount: string, labels: Record<string, string>) {
  const config = readFileSync(mesh.state('workloads', 'sleep-0', 'agent.json'), 'utf8');
  const { address } = (JSON.parse(config) as { controlPlane: { address: string } }).controlPlane;
  const client = new DeltaClient(Number(address.split(':')[1]), {
    tls: { key: who.key, cert: who.cert, rejectUnauthorized: false },
  });
  try {
    const namespace = id.split('~')[2]?.split('.')[1] ?? '';
    client.request(typeUrls.secret, {
      node: { id, metadata: { NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount, LABELS: labels } },
      subscribe: ['kubernetes://door', 'kubernetes://istio-system/door', 'kubernetes://door-cacert'],
    });
    const refusal = client.trailers.then(({ status, message }) => `${status} ${message}`);
    const answer = await Promise.race([client.next(), refusal]);
    return typeof answer === 'string' ? answer : answer.resources.map(({ name }) => name);
  } finally {
    client.close();
  }
}

test('the trust domain of mesh.yaml stands in every certificate; mesh settings cannot change it, but add aliases', async () => {
  expect(leafOf('sleep-0').subjectAltName).toBe('URI:spiffe://prod.example/ns/default/sa/sleep');
  await expect(mesh.apply(meshSettings({ trustDomain: 'else.example' }))).rejects.toThrow(
    /trustDomain is else\.example, but this mesh was started as prod\.example/,
  );
  const old = caller('old', first, 'spiffe://old.example/ns/default/sa/web', first.certificate);
  const node = 'sidecar~127.0.0.1~web.default~default.svc.cluster.local';
  await answers(old).toEqual(refused);
  expect(await secretsOf(old, node, 'web', {})).toMatch(/^16 /);
  await underLoad(async () => {
    await mesh.apply(meshSettings({ trustDomainAliases: ['old.example'] }));
    await answers(old).toBe(200);
    expect(await secretsOf(old, node, 'web', {})).toEqual([]);
    await mesh.apply(meshSettings({}));
    await answers(old).toEqual(refused);
    expect(await secretsOf(old, node, 'web', {})).toMatch(/^16 /);
  });
});

test('over SDS a proxy gets the credentials of its own namespace’s gateways, if it is one', async () => {
  const door = opensslCertificate({ directory, name: 'door', ca: false, names: ['DNS:door.example'] });
  const labels = { istio: 'ingressgateway' };
  await mesh.apply(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'door', namespace: 'istio-system' },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': door.certificate, 'tls.key': door.key },
    } as ConfigObject,
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'door', namespace: 'istio-system' },
      spec: {
        selector: labels,
        servers: [
          {
            port: { number: 443, name: 'https', protocol: 'HTTPS' },
            hosts: ['door.example'],
            tls: { mode: 'SIMPLE', credentialName: 'door' },
          },
        ],
      },
    } as ConfigObject,
  );
  const as = (namespace: string, account: string) =>
    caller(account, first, `spiffe://prod.example/ns/${namespace}/sa/${account}`, first.certificate);
  const node = (type: string, namespace: string) =>
    `${type}~127.0.0.1~intruder.${namespace}~${namespace}.svc.cluster.local`;
  const gateway = as('istio-system', 'edge');
  expect(await secretsOf(gateway, node('router', 'istio-system'), 'edge', labels)).toEqual([
    'kubernetes://door',
  ]);
  // Neither a sidecar beside it, nor a gateway that serves others, …
  expect(await secretsOf(gateway, node('sidecar', 'istio-system'), 'edge', labels)).toEqual([]);
  expect(await secretsOf(gateway, node('router', 'istio-system'), 'edge', { istio: 'else' })).toEqual([]);
  // … nor whoever has the labels in another namespace, nor whoever says that he is of this one.
  const sleep = as('default', 'sleep');
  for (const type of ['router', 'sidecar'])
    expect(await secretsOf(sleep, node(type, 'default'), 'sleep', labels)).toEqual([]);
  expect(await secretsOf(sleep, node('router', 'istio-system'), 'sleep', labels)).toMatch(
    /^7 .*the node claims/,
  );
  expect(await secretsOf(sleep, node('router', 'istio-system'), 'edge', labels)).toMatch(/^7 /);
});

test('another trust domain is trusted for itself alone', async () => {
  const partner = opensslCertificate({ directory, name: 'partner-root' });
  const chain = first.certificate;
  const own = caller('own', first, 'spiffe://prod.example/ns/default/sa/web', chain);
  const theirs = caller('theirs', partner, 'spiffe://partner.example/ns/shop/sa/cart');
  const forged = caller('forged', partner, 'spiffe://prod.example/ns/default/sa/web');
  const reverse = caller('reverse', first, 'spiffe://partner.example/ns/shop/sa/cart', chain);
  await answers(own).toBe(200);
  for (const who of [theirs, forged, reverse]) expect(await ask(who)).toEqual(refused);
  await underLoad(async () => {
    await mesh.apply(
      meshSettings({ caCertificates: [{ pem: partner.certificate, trustDomains: ['partner.example'] }] }),
    );
    await answers(theirs).toBe(200);
    for (const who of [forged, reverse]) expect(await ask(who)).toEqual(refused);
    expect(await ask(own)).toBe(200);
  });
  const shown = await mesh.ostria.run(['ca', 'status', '--mesh', 'hello']);
  expect(shown.stdout).toContain('partner.example');
  await underLoad(async () => {
    await mesh.apply(meshSettings({}));
    await answers(theirs).toEqual(refused);
    expect(await ask(own)).toBe(200);
  });
});

test('a revoked certificate is refused by proxies and by the control plane, until the list says otherwise', async () => {
  const web = 'spiffe://prod.example/ns/default/sa/web';
  const [good, bad] = [
    caller('good', first, web, first.certificate),
    caller('bad', first, web, first.certificate),
  ];
  await answers(bad).toBe(200);
  await underLoad(async () => {
    writeFileSync(join(source(), 'ca-crl.pem'), await revocationList(first, [bad.cert]));
    await answers(bad).toEqual(refused);
    expect(await ask(good)).toBe(200);
    writeFileSync(join(source(), 'ca-crl.pem'), await revocationList(first, [good.cert]));
    await answers(good).toEqual(refused);
    expect(await ask(bad)).toBe(200);
  });
  const shown = await mesh.ostria.run(['ca', 'status', '--mesh', 'hello']);
  expect(shown.stdout).toMatch(/1 certificate is revoked/);
  rmSync(join(source(), 'ca-crl.pem'));
  await answers(good).toBe(200);
});

test('certificates of a few seconds and another intermediate, under load', async () => {
  const short = { defaultConfig: { proxyMetadata: { SECRET_TTL: '14s', WORKLOAD_RSA_KEY_SIZE: '2048' } } };
  await mesh.apply(meshSettings(short));
  const lifeOf = (workload: string) => {
    const { validFromDate, validToDate } = leafOf(workload);
    return (validToDate.getTime() - validFromDate.getTime()) / 1000;
  };
  const workloads = ['sleep-0', 'helloworld-v1-0', 'helloworld-v2-0', 'istio-ingressgateway'];
  // Certificates begin two minutes before now.
  await expect
    .poll(() => workloads.every((one) => lifeOf(one) < 140), { timeout: 90_000, interval: 500 })
    .toBe(true);
  expect(leafOf('sleep-0').publicKey.asymmetricKeyType).toBe('rsa');
  await mesh.up();
  const serial = leafOf('sleep-0').serialNumber;
  await underLoad(async () => {
    await expect.poll(() => leafOf('sleep-0').serialNumber, { interval: 250 }).not.toBe(serial);
    const second = opensslCertificate({ directory, name: 'second', issuer: root });
    await writeMaterial(source(), material(second));
    await expect
      .poll(() => workloads.map((one) => leafOf(one).issuer), { timeout: 60_000, interval: 250 })
      .toEqual(workloads.map(() => 'O=test\nCN=second'));
    // The new ones are used beyond the lives of those before.
    const last = leafOf('sleep-0').serialNumber;
    await expect.poll(() => leafOf('sleep-0').serialNumber, { interval: 250 }).not.toBe(last);
  });
  expect((await status()).chains.map(({ what }) => what)).toEqual(['root', 'signing certificate']);
});
