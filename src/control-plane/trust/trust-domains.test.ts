// Roots of other trust domains: given, fetched from bundle endpoints, kept while an endpoint is down.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type OpensslAuthority, opensslCertificate } from '../../../test/support/authority.ts';
import type { DomainTrust } from '../../ca/trust-extras.ts';
import { defaultMeshConfig, overlayMeshConfig } from '../../registry/mesh-config.ts';
import { parseSpiffeBundle, writeSpiffeBundle } from './spiffe-bundle.ts';
import { TrustDomains, type TrustDomainsOptions } from './trust-domains.ts';

let directory: string;
let server: Server;
let url: string;
let roots: OpensslAuthority[];
let body: () => string | undefined;
let published: readonly DomainTrust[];
let problems: string[];
let trust: TrustDomains | undefined;

const pem = (authority: OpensslAuthority) => new X509Certificate(authority.certificate).toString();
const bundle = (...authorities: OpensslAuthority[]) =>
  JSON.stringify(writeSpiffeBundle(authorities.map(pem), 1));

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-domains-'));
  roots = ['one', 'two'].map((name) => opensslCertificate({ directory, name }));
  const [authority] = roots as [OpensslAuthority];
  const own = opensslCertificate({
    directory,
    name: 'endpoint',
    issuer: authority,
    ca: false,
    names: ['localhost'],
  });
  setDefaultCACertificates([...getCACertificates(), authority.certificate]);
  server = createServer({ key: own.key, cert: own.certificate }, (_request, response) => {
    const text = body();
    response.writeHead(text === undefined ? 500 : 200).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}/bundle`;
});
beforeEach(() => {
  [published, problems] = [[], []];
});
afterEach(() => trust?.close());
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

async function follow(caCertificates: unknown, options: Partial<TrustDomainsOptions> = {}): Promise<void> {
  trust = new TrustDomains({
    publish: (domains) => {
      published = domains;
    },
    fetch: { allowed: ['127.0.0.0/8', '::1/128'] },
    cacheFile: join(directory, 'bundles.json'),
    refreshMs: { min: 50, max: 100 },
    onProblem: (message) => problems.push(message),
    ...options,
  });
  await trust.load();
  trust.setMesh(overlayMeshConfig(defaultMeshConfig, { trustDomainAliases: ['old'], caCertificates }));
}

const rootsOf = (domain: string) => published.find(({ trustDomain }) => trustDomain === domain)?.roots;

test('given roots: for the domains that they name, else for our own and its aliases', async () => {
  const [one, two] = roots as [OpensslAuthority, OpensslAuthority];
  await follow([{ pem: one.certificate, trustDomains: ['partner'] }]);
  expect(published).toEqual([
    { trustDomain: 'cluster.local', roots: '', meshRoots: true },
    { trustDomain: 'old', roots: '', meshRoots: true },
    { trustDomain: 'partner', roots: pem(one), meshRoots: false },
  ]);
  trust?.setMesh(overlayMeshConfig(defaultMeshConfig, { caCertificates: [{ pem: two.certificate }] }));
  expect(published).toEqual([{ trustDomain: 'cluster.local', roots: pem(two), meshRoots: true }]);
  trust?.setMesh(defaultMeshConfig);
  expect(published).toEqual([]);
});

test('what is no root is told and trusted by nobody', async () => {
  const leaf = opensslCertificate({ directory, name: 'leaf', ca: false });
  await follow([{ pem: leaf.certificate, trustDomains: ['partner'] }]);
  expect([rootsOf('partner'), problems]).toEqual([undefined, [expect.stringContaining('no root')]]);
});

test('bundles are fetched again and again; the last good one serves while the endpoint is down, after a restart too', async () => {
  const [one, two] = roots as [OpensslAuthority, OpensslAuthority];
  const entry = [{ spiffeBundleUrl: url, trustDomains: ['partner'] }];
  body = () => bundle(one);
  await follow(entry);
  await expect.poll(() => rootsOf('partner'), { interval: 10 }).toBe(pem(one));
  body = () => bundle(one, two);
  await expect.poll(() => rootsOf('partner'), { interval: 10 }).toBe(pem(one) + pem(two));
  body = () => undefined;
  await expect
    .poll(() => problems, { interval: 10 })
    .toEqual([expect.stringContaining('answered 500; the last one stays in use')]);
  expect(rootsOf('partner')).toBe(pem(one) + pem(two));
  await trust?.close();
  await follow(entry);
  expect(rootsOf('partner')).toBe(pem(one) + pem(two));
});

test('endpoints within reach of this machine alone, over plaintext, or with nonsense are refused', async () => {
  const partner = (spiffeBundleUrl: string) => [{ spiffeBundleUrl, trustDomains: ['partner'] }];
  body = () => bundle(...roots);
  await follow(partner(`${url}2`), { fetch: {} });
  await expect.poll(() => problems.join(), { interval: 10 }).toMatch(/no public address/);
  await trust?.close();
  await follow(partner('http://localhost/bundle'));
  await expect.poll(() => problems.join(), { interval: 10 }).toMatch(/over https/);
  expect(rootsOf('partner')).toBeUndefined();
  const parse = (text: string) => () => parseSpiffeBundle(Buffer.from(text), 'it');
  expect(parse('nonsense')).toThrow('no JSON');
  expect(parse('{"keys":[{"use":"jwt-svid"}]}')).toThrow('no root');
  expect(parse('{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}')).toThrow('exactly one root');
  expect(parse('null')).toThrow(/no root|JSON/);
});
