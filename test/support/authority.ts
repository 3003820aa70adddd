import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Certificates made by openssl, so that ours are judged by somebody else's. */
export interface OpensslAuthority {
  certificate: string;
  key: string;
}

export interface OpensslOptions {
  directory: string;
  name: string;
  issuer?: OpensslAuthority;
  /** Default `EC`. */
  algorithm?: 'EC' | 'RSA';
  /** Default true. */
  ca?: boolean;
  /** Default 30; a negative number: it has expired. */
  days?: number;
  /** DNS names and URIs of the subject alternative name. */
  names?: readonly string[];
}

export function opensslCertificate(options: OpensslOptions): OpensslAuthority {
  const { directory, name, issuer, algorithm = 'EC', ca = true, days = 30, names = [] } = options;
  mkdirSync(directory, { recursive: true });
  const file = (suffix: string) => join(directory, `${name}${suffix}`);
  const keyOptions =
    algorithm === 'EC' ? ['-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-pkeyopt', 'rsa_keygen_bits:2048'];
  openssl(['genpkey', '-algorithm', algorithm, ...keyOptions, '-out', file('.key')]);
  openssl(['req', '-new', '-key', file('.key'), '-subj', `/O=test/CN=${name}`, '-out', file('.csr')]);
  writeFileSync(
    file('.ext'),
    `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}\nkeyUsage=critical,${ca ? 'keyCertSign,cRLSign' : 'digitalSignature'}\nsubjectKeyIdentifier=hash\n${alternativeNames(names)}`,
  );
  const signer = issuer
    ? [
        '-CA',
        writeTemporary(file('.ca.pem'), issuer.certificate),
        '-CAkey',
        writeTemporary(file('.ca.key'), issuer.key),
      ]
    : ['-signkey', file('.key')];
  const dates = ['-days', String(days)];
  openssl([
    'x509',
    '-req',
    '-in',
    file('.csr'),
    ...signer,
    ...dates,
    '-extfile',
    file('.ext'),
    '-out',
    file('.pem'),
  ]);
  return { certificate: readFileSync(file('.pem'), 'utf8'), key: readFileSync(file('.key'), 'utf8') };
}

function alternativeNames(names: readonly string[]): string {
  if (names.length === 0) return '';
  const typed = names.map((name) => `${name.includes('://') ? 'URI' : 'DNS'}:${name}`);
  return `subjectAltName=${typed.join(',')}\n`;
}

/** Runs openssl; its output, or its complaint as the error. */
export function openssl(args: string[], input?: string): string {
  return execFileSync('openssl', args, {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(input === undefined ? {} : { input }),
  });
}

function writeTemporary(path: string, content: string): string {
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}
