// Certificates of a DestinationRule that are files on the proxy's machine: missing, broken, coming, renewed.
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const directory = mkdtempSync(join(tmpdir(), 'ostria-files-'));
const file = (name: string): string => join(directory, name);

const servers: Server[] = [];
const at = { mutual: 0, plainTls: 0 };
/** Connections to the server that asks for certificates. */
const open = new Set<Socket>();
let mesh: CompiledMesh;
let client: TestEnvoy;

/** As certificates are mounted: everything at once, by renaming. */
function put(name: string, as: string): void {
  copyFileSync(file(name), file(`${as}.next`));
  renameSync(file(`${as}.next`), file(as));
}

function entry(name: string, port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${port}}]
  endpoints: [{address: 127.0.0.1}]
`;
}

function rule(name: string, tls: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: {host: ${name}.example.com, trafficPolicy: {tls: ${tls}}}
`;
}

/** Whose certificate the server saw, and over which connection. */
const ask = (port: number): Promise<string> =>
  call(port, '/').then(({ status, body }) => `${status} ${body}`, String);

beforeAll(async () => {
  const issuer = opensslCertificate({ directory, name: 'root' });
  const [server, one, two] = ['server', 'one', 'two'].map((name) =>
    opensslCertificate({
      directory,
      name,
      issuer,
      ca: false,
      names: ['mutual.example.com', 'other.example.com'],
    }),
  );
  if (!server || !one || !two) throw new Error('no certificates');
  const serve = async (asks: boolean): Promise<number> => {
    const made = createServer(
      {
        key: server.key,
        cert: server.certificate,
        ca: issuer.certificate,
        requestCert: asks,
        rejectUnauthorized: asks,
        keepAliveTimeout: 0,
      },
      ({ socket }, response) => {
        const { subject } = (socket as TLSSocket).getPeerCertificate();
        response.end(asks ? String(subject?.CN) : 'plain TLS');
      },
    );
    if (asks)
      made.on('secureConnection', (socket) => {
        open.add(socket);
        socket.on('close', () => open.delete(socket));
      });
    servers.push(made);
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    return (made.address() as { port: number }).port;
  };
  const [mutual, plainTls] = [await serve(true), await serve(false)];
  const ports = await freePorts(2);
  [at.mutual = 0, at.plainTls = 0] = ports;
  mesh = await startCompiledMesh(`${entry('mutual', mutual)}---${entry('other', plainTls)}`);
  client = await mesh.envoy({
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: { 'mutual.example.com:80': at.mutual, 'other.example.com:80': at.plainTls },
        inbound: [],
        httpProxy: 0,
      },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(directory, { recursive: true, force: true });
});

test('files that are missing concern their own destination alone, and are taken up when they come', async () => {
  const files = `clientCertificate: ${file('crt')}, privateKey: ${file('key')}, caCertificates: ${file('ca')}`;
  mesh.apply(
    `${rule('mutual', `{mode: MUTUAL, ${files}}`)}${rule('other', `{mode: SIMPLE, caCertificates: ${file('root.pem')}}`)}`,
  );
  await expect.poll(() => ask(at.plainTls), { timeout: 30_000 }).toBe('200 plain TLS');
  await expect.poll(() => ask(at.mutual), { timeout: 30_000 }).toMatch(/^503/);
  await expect.poll(() => mesh.refusals.join(), { timeout: 30_000 }).toContain('file-');
  const [refusal = ''] = mesh.refusals;
  expect(JSON.parse(refusal).origins).toContainEqual(
    expect.objectContaining({ kind: 'DestinationRule', name: 'mutual' }),
  );
  put('root.pem', 'ca');
  put('one.key', 'key');
  put('one.pem', 'crt');
  await expect.poll(() => ask(at.mutual), { timeout: 60_000 }).toBe('200 one');
  await expect.poll(() => mesh.ledger.refusals(mesh.ledger.connected()), { timeout: 30_000 }).toEqual([]);
});

test('renewed files are for new connections; those that are open go on', async () => {
  const before = [...open];
  expect(before.length).toBeGreaterThan(0);
  const answers: string[] = [];
  let going = true;
  const load = (async () => {
    while (going) answers.push(await ask(at.mutual));
  })();
  // Each of the two renamings has both read again: the pair is whole when the certificate comes.
  put('two.key', 'key');
  put('two.pem', 'crt');
  await expect.poll(() => answers.length, { timeout: 30_000 }).toBeGreaterThan(20);
  for (const socket of before) expect(socket.destroyed).toBe(false);
  // Without connections to keep to, the next is made with what there is now.
  going = false;
  await load;
  expect(answers.filter((answer) => !answer.startsWith('200 '))).toEqual([]);
  for (const socket of open) socket.destroy();
  await expect.poll(() => ask(at.mutual), { timeout: 60_000 }).toBe('200 two');
});

test('a broken file leaves what was read before in use', async () => {
  writeFileSync(file('broken'), 'no certificate');
  put('broken', 'crt');
  for (const socket of open) socket.destroy();
  await expect.poll(() => ask(at.mutual), { timeout: 30_000 }).toBe('200 two');
  expect(await ask(at.plainTls)).toBe('200 plain TLS');
  expect(await rejectedUpdates(client, /^sds\.file-/)).toBe(0);
});
