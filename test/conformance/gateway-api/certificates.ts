import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openssl } from '../../support/authority.ts';

export interface Pair {
  certificate: string;
  key: string;
}

/** What the suite makes at run time, by the names that its manifests use. */
export interface SuiteCertificates {
  /** Trusted by `tls-checks-ca-certificate`; TLS backends show it. */
  checks: Pair;
  checksAuthority: string;
  mismatchAuthority: string;
  /** Shown by listeners, and trusted by clients. */
  validity: Pair;
  terminate: Pair;
  clientAuthority: string;
  client: Pair;
  perPortAuthority: string;
  perPortClient: Pair;
}

export function makeCertificates(): SuiteCertificates {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-gwapi-'));
  try {
    const authority = (name: string) => issue(directory, name, { ca: true });
    const checks = authority('checks-ca');
    const mismatch = authority('mismatch-ca');
    const client = authority('client-ca');
    const perPort = authority('per-port-ca');
    const dns = (...names: string[]) => names.map((name) => `DNS:${name}`).join(',');
    const listenerNames = dns(
      '*',
      '*.example.org',
      '*.org',
      '*.wildcard.org',
      'example.org',
      'second-example.org',
      'unknown-example.org',
      '*.com',
      '*.example.com',
      'abc.example.com',
    );
    const checksNames = `${dns('abc.example.com')},URI:spiffe://abc.example.com/test-identity`;
    return {
      checks: issue(directory, 'checks', { issuer: checks, names: checksNames }),
      checksAuthority: checks.certificate,
      mismatchAuthority: mismatch.certificate,
      validity: issue(directory, 'validity', { names: listenerNames }),
      terminate: issue(directory, 'terminate', { names: listenerNames }),
      clientAuthority: client.certificate,
      client: issue(directory, 'client', { issuer: client, names: dns('client.example.org') }),
      perPortAuthority: perPort.certificate,
      perPortClient: issue(directory, 'per-port-client', {
        issuer: perPort,
        names: dns('client.example.org'),
      }),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function issue(
  directory: string,
  name: string,
  options: { ca?: boolean; issuer?: Pair; names?: string },
): Pair {
  const file = (suffix: string) => join(directory, `${name}${suffix}`);
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('.key')]);
  openssl(['req', '-new', '-key', file('.key'), '-subj', `/O=test/CN=${name}`, '-out', file('.csr')]);
  writeFileSync(
    file('.ext'),
    `basicConstraints=critical,CA:${options.ca ? 'TRUE' : 'FALSE'}\n${options.names ? `subjectAltName=${options.names}\n` : ''}`,
  );
  const signer = ['-signkey', file('.key')];
  if (options.issuer) {
    writeFileSync(file('.ca.pem'), options.issuer.certificate);
    writeFileSync(file('.ca.key'), options.issuer.key);
    signer.splice(0, 2, '-CA', file('.ca.pem'), '-CAkey', file('.ca.key'));
  }
  openssl([
    'x509',
    '-req',
    '-in',
    file('.csr'),
    ...signer,
    '-days',
    '2',
    '-extfile',
    file('.ext'),
    '-out',
    file('.pem'),
  ]);
  return { certificate: readFileSync(file('.pem'), 'utf8'), key: readFileSync(file('.key'), 'utf8') };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** The Secrets and ConfigMaps that the manifests refer to and do not hold. */
export function certificateObjects(made: SuiteCertificates): object[] {
  const secret = (namespace: string, name: string, pair: Pair) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(pair.certificate), 'tls.key': base64(pair.key) },
  });
  const map = (name: string, certificate: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'gateway-conformance-infra' },
    data: { 'ca.crt': certificate },
  });
  const infra = 'gateway-conformance-infra';
  return [
    secret(infra, 'tls-validity-checks-certificate', made.validity),
    secret(infra, 'tls-terminate-checks-certificate', made.terminate),
    secret(infra, 'tls-passthrough-checks-certificate', made.checks),
    secret(infra, 'tls-checks-certificate', made.checks),
    secret('gateway-conformance-web-backend', 'certificate', made.validity),
    map('tls-checks-ca-certificate', made.checksAuthority),
    map('mismatch-ca-certificate', made.mismatchAuthority),
    map('tls-validity-checks-ca-certificate', made.clientAuthority),
    map('tls-validity-checks-per-port-ca-certificate', made.perPortAuthority),
  ];
}
