// Who may call whom: a sidecar's port takes members of the mesh only, and a client talks to the service that it meant only.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openssl, opensslCertificate } from '../../support/authority.ts';
import { type Bookinfo, eventually, openBookinfo } from '../../support/bookinfo.ts';
import { type Answer, call } from '../../support/http-echo.ts';

let mesh: Bookinfo;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-mtls-'));
  mesh = await openBookinfo();
});
afterAll(async () => {
  await mesh?.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Identity {
  readonly key: string;
  readonly cert: string;
}

const state = (...path: string[]) => join(mesh.ostria.home, 'bookinfo', ...path);

/** Key and certificate that a workload's agent keeps. */
function identityOf(workload: string): Identity {
  const pem = readFileSync(state('workloads', workload, 'identity.pem'), 'utf8');
  const blocks = pem.match(/-----BEGIN [^-]+-----[\s\S]*?-----END [^-]+-----\n?/g) ?? [];
  return {
    key: blocks.filter((block) => block.includes('PRIVATE KEY')).join(''),
    cert: blocks.filter((block) => block.includes('CERTIFICATE')).join(''),
  };
}

const inbound = async (workload: string) => (await mesh.instance(workload)).endpoints[0]?.listen as number;

/** One HTTP request over TLS with a client certificate; the server's is not looked at. */
function callWith(port: number, identity: Partial<Identity>): Promise<Answer> {
  return call(
    port,
    '/ratings/0',
    { host: 'ratings:9080' },
    {
      tls: true,
      rejectUnauthorized: false,
      timeout: 30_000,
      ...identity,
    },
  );
}

describe('a sidecar’s port', () => {
  test('takes a member of the mesh, and shows the certificate of its service account', async () => {
    const port = await inbound('ratings-v1-0');
    const answer = await callWith(port, identityOf('reviews-v2-0'));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ ratings: { Reviewer1: 5 } });
    const names = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ...identityOf('reviews-v2-0'),
      });
      socket.once('error', reject).once('secureConnect', () => {
        resolve(socket.getPeerCertificate().subjectaltname ?? '');
        socket.destroy();
      });
    });
    expect(names).toBe('URI:spiffe://cluster.local/ns/default/sa/bookinfo-ratings');
  });

  test('refuses plaintext', async () => {
    for (const workload of ['ratings-v1-0', 'productpage-v1-0'])
      await expect(call(await inbound(workload), '/')).rejects.toThrow(/ECONNRESET|socket hang up/);
  });

  test('refuses a caller without a certificate', async () => {
    await expect(callWith(await inbound('ratings-v1-0'), {})).rejects.toThrow(
      /certificate.required|ECONNRESET|hang up/i,
    );
  });

  test('refuses a certificate of another authority, whatever identity it claims', async () => {
    const other = opensslCertificate({ directory, name: 'other-root' });
    const paths = {
      key: join(directory, 'leaf.key'),
      csr: join(directory, 'leaf.csr'),
      pem: join(directory, 'leaf.pem'),
    };
    openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', paths.key]);
    openssl([
      'req',
      '-new',
      '-key',
      paths.key,
      '-subj',
      '/O=cluster.local',
      '-addext',
      'subjectAltName=URI:spiffe://cluster.local/ns/default/sa/bookinfo-reviews',
      '-out',
      paths.csr,
    ]);
    openssl([
      'x509',
      '-req',
      '-in',
      paths.csr,
      '-CA',
      join(directory, 'other-root.pem'),
      '-CAkey',
      join(directory, 'other-root.key'),
      '-copy_extensions',
      'copy',
      '-days',
      '1',
      '-out',
      paths.pem,
    ]);
    const identity = {
      key: readFileSync(paths.key, 'utf8'),
      cert: readFileSync(paths.pem, 'utf8') + other.certificate,
    };
    await expect(callWith(await inbound('ratings-v1-0'), identity)).rejects.toThrow(
      /unknown.ca|UNKNOWN_CA|ECONNRESET|hang up|CERTIFICATE/i,
    );
  });
});

describe('a client', () => {
  /** A server that answers as reviews would, with a workload's certificate. */
  async function impostor(workload: string): Promise<{ port: number; calls: () => number; close(): void }> {
    let calls = 0;
    const ca = readFileSync(state('control-plane', 'ca', 'root-cert.pem'), 'utf8');
    const sessions = new Set<{ destroy(): void }>();
    const server = createSecureServer(
      { ...identityOf(workload), ca, requestCert: true, allowHTTP1: true },
      (_request, response) => {
        calls++;
        response.setHeader('content-type', 'application/json');
        response.end('{"podname":"reviews-v9-x","reviews":[]}');
      },
    );
    server.on('session', (session) => sessions.add(session)).on('sessionError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
      port: (server.address() as AddressInfo).port,
      calls: () => calls,
      close: () => {
        for (const session of sessions) session.destroy();
        server.close();
      },
    };
  }

  /** Everything for reviews goes to a version v9, which listens on `port`. */
  const routeToV9 = (port: number) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v9 }
spec:
  address: 127.0.0.1
  ports: { http: ${port} }
  serviceAccount: bookinfo-reviews
  labels: { app: reviews, version: v9, security.istio.io/tlsMode: istio }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews-v9 }
spec:
  host: reviews
  subsets: [{ name: v9, labels: { version: v9 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http: [{ route: [{ destination: { host: reviews, subset: v9 } }] }]
`;

  const reviews = async () => {
    const answer = await fetch(`${mesh.url}/api/v1/products/0/reviews`, {
      signal: AbortSignal.timeout(30_000),
    });
    return `${answer.status} ${await answer.text()}`;
  };

  test('talks to a server with the identity that it meant', async () => {
    const genuine = await impostor('reviews-v1-0');
    try {
      const { code, stderr } = await mesh.ostria.run(['apply', '-f', '-'], {
        input: routeToV9(genuine.port),
      });
      expect([code, stderr]).toEqual([0, '']);
      await eventually(async () => expect(await reviews()).toMatch(/^200 .*reviews-v9-x/));
    } finally {
      genuine.close();
    }
  });

  test('refuses a server of the mesh with another identity', async () => {
    const wrong = await impostor('ratings-v1-0');
    try {
      await mesh.ostria.run(['apply', '-f', '-'], { input: routeToV9(wrong.port) });
      await eventually(async () => expect(await reviews()).toMatch(/^503/));
      for (let attempt = 0; attempt < 5; attempt++) expect(await reviews()).toMatch(/^503/);
      expect(wrong.calls()).toBe(0);
    } finally {
      wrong.close();
    }
    await mesh.ok(
      'delete',
      'virtualservice/reviews',
      'destinationrule/reviews-v9',
      'workloadentry/reviews-v9',
    );
    await eventually(async () => expect(await reviews()).toMatch(/^200 .*reviews-v[123]/));
  });
});

describe('ingress over HTTPS', () => {
  const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: secure, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 443, name: https, protocol: HTTPS }
      hosts: [bookinfo.example.com]
      tls: { mode: SIMPLE, credentialName: bookinfo-credential }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: secure }
spec:
  hosts: [bookinfo.example.com]
  gateways: [istio-system/secure]
  http: [{ route: [{ destination: { host: productpage, port: { number: 9080 } } }] }]
`;

  /** What a browser that trusts only this certificate gets. */
  function browse(port: number, ca: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = httpsRequest(
        {
          host: '127.0.0.1',
          port,
          path: '/productpage',
          servername: 'bookinfo.example.com',
          headers: { host: 'bookinfo.example.com' },
          ca,
          agent: false,
          timeout: 30_000,
        },
        (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => {
            body += chunk;
          });
          answer.on('end', () => resolve(`${answer.statusCode} ${body.includes('The Comedy of Errors')}`));
        },
      );
      sent.on('error', reject).on('timeout', () => sent.destroy(new Error('timed out')));
      sent.end();
    });
  }

  function certificate(name: string): { certificate: string; key: string; files: string[] } {
    const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)];
    openssl([
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-addext',
      'subjectAltName=DNS:bookinfo.example.com',
      '-keyout',
      key,
      '-out',
      cert,
    ]);
    return {
      certificate: readFileSync(cert, 'utf8'),
      key: readFileSync(key, 'utf8'),
      files: [`--cert=${cert}`, `--key=${key}`],
    };
  }

  test('serves the certificate of a Secret, and its successor without a restart', async () => {
    const kubectl = mesh.kubectl();
    const port = await mesh.gatewayPort(443);
    const envoy = () =>
      readFileSync(state('workloads', 'istio-ingressgateway', 'envoy-process.json'), 'utf8');
    const before = envoy();
    const [first, second] = [certificate('first'), certificate('second')];
    const create = ['create', 'secret', 'tls', 'bookinfo-credential', '-n', 'istio-system'];
    await kubectl.ok([...create, ...first.files]);
    await kubectl.ok(['apply', '-f', '-'], { input: gateway });
    await eventually(async () => expect(await browse(port, first.certificate)).toBe('200 true'));
    await expect(browse(port, second.certificate)).rejects.toThrow(/self.signed|unable to verify/i);

    const yaml = await kubectl.ok([...create, ...second.files, '--dry-run=client', '-o', 'yaml']);
    await kubectl.ok(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input: yaml });
    await eventually(async () => expect(await browse(port, second.certificate)).toBe('200 true'));
    await expect(browse(port, first.certificate)).rejects.toThrow(/self.signed|unable to verify/i);
    expect(envoy()).toBe(before);
    // The private key is not shown to people who look at the proxy.
    expect(
      await mesh.ok('proxy-config', 'secret', 'istio-ingressgateway.istio-system', '-o', 'json'),
    ).not.toContain('PRIVATE KEY');
  });

  test('a secret that goes missing keeps plain HTTP and the other hosts alive', async () => {
    await mesh.kubectl().ok(['delete', 'secret', 'bookinfo-credential', '-n', 'istio-system']);
    await mesh.ok('delete', 'gateway/secure', '-n', 'istio-system');
    await mesh.ok('delete', 'virtualservice/secure');
    expect(await mesh.page()).toMatchObject({ status: 200 });
  });
});
