// Certificates signed elsewhere, by real others: a gRPC server, our own service, a Kubernetes API with a signer of openssl.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { status as codes, Server, ServerCredentials, type ServerUnaryCall } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../../../gen/proto/istio/security/v1alpha1/ca_pb.js';
import { startTestApi } from '../../../test/support/api-server.ts';
import { type OpensslAuthority, openssl, opensslCertificate } from '../../../test/support/authority.ts';
import { startSigner } from '../../../test/support/certificate-signer.ts';
import { certificateAuthenticator } from '../authenticate.ts';
import { createAuthority, createSelfSigned } from '../authority.ts';
import { parseCertificateRequest } from '../certificate-request.ts';
import { startCertificateServer } from '../certificate-server.ts';
import { createCertificateService } from '../certificate-service.ts';
import { createKey, createSigningRequest } from '../certificate-signing-request.ts';
import { issueWithNewKey } from '../server-certificate.ts';
import { createSigner } from './create-signer.ts';
import { ExternalAuthority } from './external-authority.ts';

const identity = 'spiffe://cluster.local/ns/shop/sa/cart';
let directory: string;
let authority: OpensslAuthority;
let rootFile: string;
const closers: (() => unknown)[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-signers-'));
  authority = opensslCertificate({ directory, name: 'external-root' });
  rootFile = file('root.pem', authority.certificate);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

async function wanted(uri = identity) {
  const csr = createSigningRequest(await createKey(), uri);
  const parsed = await parseCertificateRequest(csr);
  if (!parsed.ok) throw new Error(parsed.error);
  return { csr, publicKey: parsed.publicKey, uris: [identity], ttlMs: 3_600_000 };
}

function open(settings: Parameters<typeof createSigner>[0], options = {}): ExternalAuthority {
  const external = new ExternalAuthority({ signer: createSigner(settings), ...options });
  closers.push(() => external.close());
  return external;
}

const issueUnder = async (external: ExternalAuthority, roots = authority.certificate) =>
  external.under(roots).issue(await wanted());

/** Signs with openssl what stands in the request, or what the test makes of it. */
function sign(csr: string, more: string[] = []): string {
  const days = more.includes('-days') || more.includes('-not_after') ? [] : ['-days', '1'];
  return openssl(
    [
      'x509',
      '-req',
      '-CA',
      rootFile,
      '-CAkey',
      file('root.key', authority.key),
      ...days,
      ...(more.length > 0 && !more.includes('-days') ? more : ['-copy_extensions', 'copy', ...more]),
    ],
    csr,
  );
}

interface Upstream {
  address: string;
  calls: { request: IstioCertificateRequest; authorization: string }[];
  answer: (request: IstioCertificateRequest) => string[] | { code: number; details: string };
}

/** A grpc-js server of the certificate service. */
async function startUpstream(): Promise<Upstream> {
  const own = opensslCertificate({
    directory,
    name: 'upstream',
    issuer: authority,
    ca: false,
    names: ['ca.test'],
  });
  const upstream: Upstream = {
    address: '',
    calls: [],
    answer: ({ csr }) => [sign(csr), authority.certificate],
  };
  const server = new Server();
  const definition = {
    createCertificate: {
      path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
      requestStream: false,
      responseStream: false,
      requestDeserialize: (bytes: Buffer) => fromBinary(IstioCertificateRequestSchema, bytes),
      requestSerialize: () => Buffer.alloc(0),
      responseSerialize: (certChain: string[]) =>
        Buffer.from(
          toBinary(IstioCertificateResponseSchema, {
            $typeName: 'istio.v1.auth.IstioCertificateResponse',
            certChain,
          }),
        ),
      responseDeserialize: () => [] as string[],
    },
  } as const;
  server.addService(definition, {
    createCertificate: (
      call: ServerUnaryCall<IstioCertificateRequest, string[]>,
      reply: (error: { code: number; details: string } | null, value?: string[]) => void,
    ) => {
      upstream.calls.push({
        request: call.request,
        authorization: String(call.metadata.get('authorization')[0] ?? ''),
      });
      const answer = upstream.answer(call.request);
      if (Array.isArray(answer)) reply(null, answer);
      else reply(answer);
    },
  });
  const credentials = ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(own.key), cert_chain: Buffer.from(own.certificate) },
  ]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  closers.push(() => server.forceShutdown());
  upstream.address = `127.0.0.1:${port}`;
  return upstream;
}

const grpc = (address: string, more = {}) => ({
  type: 'grpc' as const,
  rootFile,
  address,
  serverName: 'ca.test',
  ...more,
});

test('gRPC: the request, its identity and our token go up, the checked chain comes back', async () => {
  const upstream = await startUpstream();
  const external = open(grpc(upstream.address, { tokenFile: file('token', 'our-token\n') }));
  const issued = await issueUnder(external);
  expect(new X509Certificate(issued.certificate).subjectAltName).toBe(`URI:${identity}`);
  expect(issued.root).toBe(authority.certificate);
  const [call] = upstream.calls;
  expect(call?.authorization).toBe('Bearer our-token');
  expect(call?.request.metadata).toEqual({ ImpersonatedIdentity: identity });
  expect(call?.request.validityDuration).toBe(3_600n);
  expect(external.status()).toMatchObject({ issued: 1, failed: 0 });
});

test('gRPC: passing failures are tried again and end; refusals are not tried again', async () => {
  const upstream = await startUpstream();
  const warnings: string[] = [];
  const external = open(grpc(upstream.address), { attempts: 3, warn: (text: string) => warnings.push(text) });
  upstream.answer = () => ({ code: codes.UNAVAILABLE, details: 'comes up' });
  await expect(issueUnder(external)).rejects.toThrow(/comes up/);
  expect(upstream.calls).toHaveLength(3);
  expect(external.status()).toMatchObject({
    issued: 0,
    failed: 1,
    problem: expect.stringContaining('comes up'),
  });
  expect(warnings).toHaveLength(1);

  upstream.answer = () => ({ code: codes.PERMISSION_DENIED, details: 'not you' });
  await expect(issueUnder(external)).rejects.toThrow(/not you/);
  expect(upstream.calls).toHaveLength(4);

  upstream.answer = ({ csr }) => [sign(csr), authority.certificate];
  await issueUnder(external);
  expect(external.status().problem).toBeUndefined();
});

test('gRPC: a server that is not the one of the roots gets nothing', async () => {
  const upstream = await startUpstream();
  const stranger = opensslCertificate({ directory, name: 'stranger' });
  const external = open(grpc(upstream.address, { caFile: file('stranger.pem', stranger.certificate) }), {
    attempts: 1,
  });
  await expect(issueUnder(external)).rejects.toThrow(/self-signed|unable to verify|issuer/);
  expect(upstream.calls).toHaveLength(0);
});

test('what comes back is checked: key, identity, root, time, and that it signs nobody', async () => {
  const upstream = await startUpstream();
  const external = open(grpc(upstream.address), { attempts: 1 });
  const answers = async (answer: Upstream['answer']) => {
    upstream.answer = answer;
    return issueUnder(external).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  };
  const other = createSigningRequest(await createKey(), identity);
  const extensions = (text: string) => ['-extfile', file('ext', text)];
  const stranger = opensslCertificate({ directory, name: 'stranger' });
  const foreign = opensslCertificate({
    directory,
    name: 'foreign',
    issuer: stranger,
    ca: false,
    names: [identity],
  });
  expect(await answers(() => [])).toMatch(/no certificate/);
  expect(await answers(() => ['nonsense', authority.certificate])).toMatch(/another key/);
  expect(await answers(() => [sign(other)])).toMatch(/another key/);
  expect(await answers(() => [foreign.certificate, stranger.certificate])).toMatch(/another key/);
  expect(
    await answers(({ csr }) => [
      sign(csr, extensions('subjectAltName=URI:spiffe://cluster.local/ns/a/sa/b')),
    ]),
  ).toMatch(/not for .*cart alone/);
  expect(
    await answers(({ csr }) => [sign(csr, extensions(`subjectAltName=URI:${identity},DNS:bank.test`))]),
  ).toMatch(/alone/);
  expect(
    await answers(({ csr }) => [
      sign(csr, extensions(`subjectAltName=URI:${identity}\nbasicConstraints=critical,CA:TRUE`)),
    ]),
  ).toMatch(/sign others/);
  expect(await answers(({ csr }) => [sign(csr, ['-days', '-1'])])).toMatch(/not now/);
  expect(await answers(({ csr }) => [sign(csr)])).toBe('accepted');
  await expect(issueUnder(external, stranger.certificate)).rejects.toThrow(/does not come from the roots/);
});

test('a second control plane of ours as the upstream: registration authorities alone may ask for others', async () => {
  const material = await createSelfSigned();
  const upper = await createAuthority(material);
  const server = await issueWithNewKey(upper, { dnsNames: ['istiod.istio-system.svc'] });
  const registrar = 'spiffe://cluster.local/ns/istio-system/sa/lower';
  const service = createCertificateService({
    authority: upper,
    authenticators: [certificateAuthenticator({ trustDomains: ['cluster.local'] })],
    registrationAuthorities: { identities: [registrar], trustDomains: ['cluster.local'] },
  });
  const { port, close } = await startCertificateServer({
    service,
    certificate: server.certificateChain,
    key: server.key,
    root: upper.root,
  });
  closers.push(close);
  const asWhom = async (uri: string) => {
    const { key, certificateChain } = await issueWithNewKey(upper, { uris: [uri] });
    return open(
      grpc(`127.0.0.1:${port}`, {
        serverName: 'istiod.istio-system.svc',
        caFile: file('upper.pem', upper.root),
        certificateFile: file(`${encodeURIComponent(uri)}.pem`, certificateChain),
        keyFile: file(`${encodeURIComponent(uri)}.key`, key),
      }),
      { attempts: 1 },
    );
  };
  const lower = await asWhom(registrar);
  const issued = await issueUnder(lower, upper.root);
  expect(new X509Certificate(issued.certificate).subjectAltName).toBe(`URI:${identity}`);
  const foreign = { ...(await wanted()), uris: ['spiffe://elsewhere/ns/a/sa/b'] };
  await expect(lower.under(upper.root).issue(foreign)).rejects.toThrow(/none of this mesh/);
  const workload = await asWhom('spiffe://cluster.local/ns/default/sa/web');
  await expect(issueUnder(workload, upper.root)).rejects.toThrow(/nobody may ask for another identity/);
});

test('Kubernetes: created, approved, signed, removed; denials, failures and waits end with a reason', async () => {
  const api = await startTestApi();
  closers.push(() => api.close());
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  const signerName = 'example.com/mesh';
  let failure: string | undefined;
  const signer = startSigner(api, { signerName, authority, fail: () => failure });
  closers.push(() => signer.stop());
  const settings = {
    type: 'kubernetes' as const,
    rootFile,
    kubeconfig: api.kubeconfig,
    signerName,
    approve: true,
    waitSeconds: 10,
  };
  const left = async () => ((await api.call('GET', path)).json as { items: unknown[] }).items.length;

  const external = open(settings, { attempts: 1 });
  const issued = await issueUnder(external);
  expect(new X509Certificate(issued.certificate).subjectAltName).toBe(`URI:${identity}`);
  expect([signer.signed.length, await left()]).toEqual([1, 0]);

  failure = 'policy says no';
  await expect(issueUnder(external)).rejects.toThrow(/policy says no/);
  const patient = open({ ...settings, approve: false, waitSeconds: 1 }, { attempts: 1 });
  await expect(issueUnder(patient)).rejects.toThrow(/not approved within 1 s/);
  const nobody = open({ ...settings, signerName: 'example.com/nobody', waitSeconds: 1 }, { attempts: 1 });
  await expect(issueUnder(nobody)).rejects.toThrow(/not signed within 1 s/);
  expect(await left()).toBe(0);

  // Requests that a control plane left behind go at the next start.
  const old = {
    ...{ apiVersion: 'certificates.k8s.io/v1', kind: 'CertificateSigningRequest' },
    metadata: { name: 'left-over', labels: { 'ostria.io/workload-certificate': 'true' } },
    spec: {
      request: Buffer.from((await wanted()).csr).toString('base64'),
      signerName,
      usages: ['client auth'],
    },
  };
  await api.call('POST', path, { body: old });
  const ref = {
    resource: 'certificatesigningrequests.certificates.k8s.io',
    namespace: '',
    name: 'left-over',
  };
  const stored = await api.store.get(ref);
  if (!stored) throw new Error('it is not where it was expected');
  const created = {
    ...stored.object.metadata,
    creationTimestamp: new Date(Date.now() - 2 * 3_600_000).toISOString(),
  };
  await api.store.commit([
    {
      type: 'put',
      ref: stored.ref,
      object: { ...stored.object, metadata: created },
      expect: stored.revision,
    },
  ]);
  open(settings);
  await expect.poll(left).toBe(0);
});

test('a key that cannot be read is not quoted', async () => {
  const keyFile = file('provisioner.json', '{"secret-part": nonsense');
  const external = open(
    { type: 'step-ca', rootFile, url: 'https://127.0.0.1:1', provisioner: 'ostria', keyFile },
    { attempts: 1 },
  );
  await expect(issueUnder(external)).rejects.toThrow(/holds no JSON Web Key/);
  expect(external.status().problem).not.toContain(readFileSync(keyFile, 'utf8'));
});
