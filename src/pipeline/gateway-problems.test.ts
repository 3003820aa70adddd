import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpensslAuthority, opensslCertificate } from '../../test/support/authority.ts';
import { worldOfYaml } from '../../test/support/mesh-world.ts';
import type { ConfigObject } from '../config/object.ts';
import { gateway } from '../features/traffic/gateway/feature.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { rebuild } from '../snapshot/rebuild.ts';
import { testProxy } from '../snapshot/testing.ts';
import { createProblems, decodeProblems, problemsType } from './problems.ts';

const problems = createProblems([gateway]);
let directory: string;
let good: OpensslAuthority;
let other: OpensslAuthority;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-problems-'));
  good = opensslCertificate({ directory, name: 'good' });
  other = opensslCertificate({ directory, name: 'other' });
});
afterAll(() => rmSync(directory, { recursive: true }));

function gatewayNamed(name: string, tls: object, created = '2026-01-01T00:00:00Z'): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, creationTimestamp: created },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['a.example.com'], tls }],
    },
  };
}

function secret(data: Record<string, string>): ConfigObject {
  const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'cert' },
    data: Object.fromEntries(encoded),
  };
}

function problemsOf(...objects: ConfigObject[]) {
  const found = rebuild(
    worldOfYaml(objects.map((object) => JSON.stringify(object))),
    defaultMeshConfig,
    testProxy('nobody'),
    [problems],
  );
  return [...(found.get(problemsType)?.values() ?? [])].flatMap(decodeProblems);
}

const front = () => gatewayNamed('front', { mode: 'SIMPLE', credentialName: 'cert' });
const field = 'spec.servers[0].tls.credentialName';

test.each([
  ['has no tls.key', () => ({ 'tls.crt': good.certificate })],
  ['does not belong to its tls.crt', () => ({ 'tls.crt': good.certificate, 'tls.key': other.key })],
  ['holds no PEM certificate', () => ({ 'tls.crt': 'nonsense', 'tls.key': good.key })],
  ['holds no PEM private key', () => ({ 'tls.crt': good.certificate, 'tls.key': good.certificate })],
])('a credential that Envoy would refuse: %s', (why, data) => {
  expect(problemsOf(front(), secret(data()))).toMatchObject([
    { code: 'InvalidCertificate', message: expect.stringContaining(why), origin: { path: field } },
  ]);
});

test('a sound certificate has only its times, at which the reporter looks', () => {
  const found = problemsOf(front(), secret({ 'tls.crt': good.certificate, 'tls.key': good.key }));
  const now = Date.now();
  expect(found.map(({ code }) => code)).toEqual(['CertificateExpired', 'CertificateNotYetValid']);
  expect(found[0]?.from).toBeGreaterThan(now);
  expect(found[1]?.until).toBeLessThan(now + 1);
});

test('MUTUAL needs authorities; another namespace is not read', () => {
  const pair = { 'tls.crt': good.certificate, 'tls.key': good.key };
  const mutual = gatewayNamed('front', { mode: 'MUTUAL', credentialName: 'cert' });
  const lasting = problemsOf(mutual, secret(pair)).filter(({ from, until }) => !from && !until);
  expect(lasting).toMatchObject([{ code: 'InvalidCertificate', message: /has no ca\.crt/ }]);
  const foreign = gatewayNamed('front', { mode: 'SIMPLE', credentialName: 'kubernetes://other/cert' });
  expect(problemsOf(foreign)).toMatchObject([
    { code: 'CredentialNotFound', message: /may not read Secret other\/cert/ },
  ]);
});

test('credentials are looked for where the selected gateways run', () => {
  const pair = { 'tls.crt': good.certificate, 'tls.key': good.key };
  const workload = (kind: string, spec: object) => ({
    apiVersion: kind === 'Pod' ? 'v1' : 'networking.istio.io/v1',
    kind,
    metadata: { name: 'front', namespace: 'edge', labels: { istio: 'ingressgateway', more: 'x' } },
    spec,
  });
  for (const one of [workload('Pod', {}), workload('WorkloadEntry', { address: '10.0.0.1' })])
    expect(problemsOf(front(), secret(pair), one).filter(({ from, until }) => !from && !until)).toMatchObject(
      [
        {
          code: 'CredentialNotFound',
          message: /no Secret edge\/cert.*; Secret default\/cert is out of its reach/,
        },
      ],
    );
});

test('of two Gateways for the same workloads the older one has the host', () => {
  const tls = { mode: 'ISTIO_MUTUAL' };
  const older = gatewayNamed('older', tls, '2025-01-01T00:00:00Z');
  expect(problemsOf(gatewayNamed('front', tls), older)).toMatchObject([
    { code: 'ConflictingHost', message: /older Gateway default\/older/, origin: { name: 'front' } },
  ]);
});
