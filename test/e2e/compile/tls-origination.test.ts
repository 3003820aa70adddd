// What a DestinationRule says of TLS to servers outside of the mesh, with real servers: whom a sidecar believes, by which name it asks, and what
// it shows of itself; and files that are replaced, or come late.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpensslAuthority, opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { revocationList } from '../../support/revocation-list.ts';

const mine = 'subjectAltNames: [anchors.example.com]';
/** `NAME.example.com` has the rule NAME and nothing else differs: all are one server, whose certificate names `anchors` and `strangers`. */
const rules: Record<string, string> = {
  anchors: 'mode: SIMPLE, caCertificates: FILES/ca/crt',
  strangers: 'mode: SIMPLE, caCertificates: FILES/other/crt',
  careless: 'mode: SIMPLE, insecureSkipVerify: true',
  named: `mode: SIMPLE, caCertificates: FILES/ca/crt, ${mine}`,
  misnamed: 'mode: SIMPLE, caCertificates: FILES/ca/crt, subjectAltNames: [somebody.example.com]',
  unnamed: 'mode: SIMPLE, caCertificates: FILES/ca/crt',
  entitled: 'mode: SIMPLE, caCertificates: FILES/ca/crt',
  asked: 'mode: SIMPLE, caCertificates: FILES/ca/crt, sni: other.example.com',
  revoked: `mode: SIMPLE, caCertificates: FILES/ca/crt, caCrl: FILES/ca/crl, ${mine}`,
  mutual: `mode: MUTUAL, caCertificates: FILES/ca/crt, clientCertificate: FILES/pair/crt, privateKey: FILES/pair/key, ${mine}`,
  late: `mode: MUTUAL, caCertificates: FILES/ca/crt, clientCertificate: FILES/late/crt, privateKey: FILES/late/key, ${mine}`,
  secret: `mode: MUTUAL, credentialName: partner, ${mine}`,
  soon: `mode: SIMPLE, caCertificates: FILES/soon/crt, ${mine}`,
};
const names = Object.keys(rules);
const later = ['late', 'soon'];
const local: Record<string, number> = {};

let directory: string;
let root: OpensslAuthority;
let server: Server;
let mesh: CompiledMesh;
let client: TestEnvoy;

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const issue = (name: string, sans: readonly string[] = []): OpensslAuthority =>
  opensslCertificate({ directory: join(directory, 'made'), name, issuer: root, ca: false, names: sans });

/** A pair of files takes the place of whatever is there, as a mounted volume does it: in another directory first. */
function place(where: string, pair: OpensslAuthority): void {
  mkdirSync(join(directory, where), { recursive: true });
  for (const [file, text] of [
    ['key', pair.key],
    ['crt', pair.certificate],
  ] as const) {
    const next = join(directory, 'made', `next-${file}`);
    writeFileSync(next, text, { mode: 0o600 });
    renameSync(next, join(directory, where, file));
  }
}

const entries = (port: number): string =>
  names
    .map(
      (name) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${port}}]
  endpoints: [{address: 127.0.0.1}]
  ${name === 'entitled' ? mine : ''}
---`,
    )
    .join('');

const rulesFor = (some: readonly string[]): string =>
  some
    .map(
      (name) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec:
  host: ${name}.example.com
  ${name === 'secret' ? 'workloadSelector: {matchLabels: {app: client}}' : ''}
  trafficPolicy: {tls: {${rules[name]?.replaceAll('FILES', directory)}}}
---`,
    )
    .join('');

const partner = (pair: OpensslAuthority): string => `
apiVersion: v1
kind: Secret
metadata: {name: partner}
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}, ca.crt: ${base64(root.certificate)}}`;

/** Status, and what the server saw. */
async function ask(name: string): Promise<{ status: number; sni?: string; client?: string }> {
  const answer = await call(local[name] ?? 0);
  return { status: answer.status, ...(answer.status === 200 ? JSON.parse(answer.body) : {}) };
}

const patience = { timeout: 30_000 };

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-origination-'));
  root = opensslCertificate({ directory: join(directory, 'made'), name: 'root' });
  const own = issue('server', ['anchors.example.com', 'strangers.example.com']);
  place('ca', root);
  writeFileSync(join(directory, 'ca', 'crl'), await revocationList(root, [own.certificate]));
  place('other', opensslCertificate({ directory: join(directory, 'made'), name: 'other' }));
  place('pair', issue('first'));
  place('soon', root);
  server = createServer(
    {
      ca: root.certificate,
      cert: own.certificate,
      key: own.key,
      requestCert: true,
      rejectUnauthorized: false,
    },
    ({ socket }, response) => {
      const tls = socket as TLSSocket & { servername: string };
      // A connection per request: what is shown is what is there now.
      response.setHeader('connection', 'close');
      response.end(
        JSON.stringify({
          sni: tls.servername,
          ...(tls.authorized ? { client: String(tls.getPeerCertificate().subject.CN) } : {}),
        }),
      );
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const ports = await freePorts(names.length);
  names.forEach((name, index) => {
    local[name] = ports[index] as number;
  });
  mesh = await startCompiledMesh(
    [
      entries((server.address() as AddressInfo).port),
      rulesFor(names.filter((name) => !later.includes(name))),
      partner(issue('by-secret')),
    ].join(''),
  );
  const outbound = Object.fromEntries(names.map((name) => [`${name}.example.com:80`, local[name]]));
  client = await mesh.envoy({
    ...{ name: 'client', labels: { app: 'client' } },
    metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } },
  });
});

afterAll(async () => {
  await mesh?.stop();
  server?.close();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

test('whom a sidecar believes: anchors, names of the rule, of the ServiceEntry, and revocation', async () => {
  for (const [name, status] of Object.entries({
    ...{ anchors: 200, strangers: 503, careless: 200, named: 200, misnamed: 503 },
    ...{ unnamed: 503, entitled: 200, asked: 200, revoked: 503 },
  }))
    await expect.poll(async () => [name, (await ask(name)).status], patience).toEqual([name, status]);
});

test('the name that is asked for is the host, unless the rule has another', async () => {
  expect((await ask('named')).sni).toBe('named.example.com');
  expect((await ask('asked')).sni).toBe('other.example.com');
});

test('a certificate of files is shown, and the one that takes its place', async () => {
  await expect.poll(() => ask('mutual'), patience).toMatchObject({ status: 200, client: 'first' });
  expect((await ask('named')).client).toBeUndefined();
  place('pair', issue('second'));
  await expect.poll(() => ask('mutual'), patience).toMatchObject({ status: 200, client: 'second' });
});

test('anchors that take the place of others count', async () => {
  place('other', root);
  await expect.poll(async () => (await ask('strangers')).status, patience).toBe(200);
});

test('a certificate of a Secret is shown by a sidecar that the rule selects, and the one that takes its place', async () => {
  await expect.poll(() => ask('secret'), patience).toMatchObject({ status: 200, client: 'by-secret' });
  mesh.apply(partner(issue('replaced')));
  await expect.poll(() => ask('secret'), patience).toMatchObject({ status: 200, client: 'replaced' });
});

test('nothing was refused, and a file that is missing closes its own host only', async () => {
  expect(mesh.refusals).toEqual([]);
  // Key and certificate come one after the other: between the two they do not fit.
  expect(await rejectedUpdates(client, /file-cert.*pair/)).toBe(0);
  // Both in one response, of which Envoy refuses one.
  mesh.apply(rulesFor(later));
  await expect.poll(() => mesh.refusals.join(), patience).toContain('/late/');
  await expect.poll(async () => (await ask('soon')).status, patience).toBe(200);
  expect(mesh.refusals).toHaveLength(1);
  expect((await ask('late')).status).toBe(503);
  for (const name of ['named', 'mutual', 'secret']) expect((await ask(name)).status, name).toBe(200);
});
