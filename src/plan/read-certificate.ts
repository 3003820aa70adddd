import type { ConfigObject } from '../config/object.ts';
import {
  type CertificateFacts,
  certificateFacts,
  type PublicKeyFacts,
  parsePem,
  privateKeyFacts,
} from '../kit/certificate-facts.ts';

/** What is wrong with a credential, or what it holds; Envoy would refuse what is wrong. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

export interface CertificateReading {
  readonly certificate: Uint8Array;
  readonly privateKey: Uint8Array;
  readonly facts: CertificateFacts;
}

export interface TrustReading {
  readonly certificates: Uint8Array;
  readonly crl?: Uint8Array;
  readonly facts: readonly CertificateFacts[];
}

/** Keys of Kubernetes' TLS secrets, then those of Istio's generic ones. */
const fields = {
  certificate: ['tls.crt', 'cert'],
  privateKey: ['tls.key', 'key'],
  anchors: ['ca.crt', 'cacert'],
  crl: ['ca.crl', 'crl'],
} as const;

/** Whether it is meant to be a certificate with its key, or holds anchors alone. */
export function holdsCertificate(object: ConfigObject): boolean {
  return field(object, fields.certificate) !== undefined || field(object, fields.privateKey) !== undefined;
}

export function readCertificate(object: ConfigObject): Reading<CertificateReading> {
  const certificate = field(object, fields.certificate);
  const privateKey = field(object, fields.privateKey);
  if (!certificate) return wrong('has no tls.crt');
  if (!privateKey) return wrong('has no tls.key');
  const [leaf] = parsePem(text(certificate)).filter(({ label }) => label === 'CERTIFICATE');
  const facts = leaf && certificateFacts(leaf.der);
  if (!facts) return wrong('its tls.crt holds no PEM certificate');
  const blocks = parsePem(text(privateKey));
  if (blocks.some(({ label }) => label === 'ENCRYPTED PRIVATE KEY'))
    return wrong('its tls.key is encrypted: store it without a passphrase');
  const key = blocks.map(privateKeyFacts).find((found) => found !== undefined);
  if (!key) return wrong('its tls.key holds no PEM private key');
  const problem = keyProblem(facts.key) ?? pairProblem(facts.key, key);
  return problem === undefined ? { ok: true, value: { certificate, privateKey, facts } } : wrong(problem);
}

/** Envoy's own limits: anything else it refuses. */
function keyProblem({ type, bits }: PublicKeyFacts): string | undefined {
  if (type === 'rsa' && bits < 2048) return `its RSA key has ${bits} bits: Envoy takes 2048 or more`;
  if (type === 'ec' && bits === 0)
    return 'its key is on another curve than P-256, P-384 or P-521: Envoy takes only these';
  return undefined;
}

function pairProblem(certificate: PublicKeyFacts, key: PublicKeyFacts): string | undefined {
  const differ =
    certificate.type !== key.type ||
    (certificate.identity !== undefined &&
      key.identity !== undefined &&
      certificate.identity !== key.identity);
  return differ ? 'its tls.key does not belong to its tls.crt' : undefined;
}

export function readTrust(object: ConfigObject): Reading<TrustReading> {
  const certificates = field(object, fields.anchors);
  if (!certificates) return wrong('has no ca.crt');
  const facts = parsePem(text(certificates))
    .filter(({ label }) => label === 'CERTIFICATE' || label === 'TRUSTED CERTIFICATE')
    .map(({ der }) => certificateFacts(der));
  if (facts.length === 0 || facts.includes(undefined)) return wrong('its ca.crt holds no PEM certificates');
  const crl = field(object, fields.crl);
  if (crl && !parsePem(text(crl)).some(({ label }) => label === 'X509 CRL'))
    return wrong('its ca.crl holds no PEM revocation list');
  return {
    ok: true,
    value: { certificates, ...(crl ? { crl } : {}), facts: facts.filter((found) => found !== undefined) },
  };
}

function wrong(why: string): { ok: false; why: string } {
  return { ok: false, why };
}

const utf8 = new TextEncoder();

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A Secret has base64 under `data` and plain text under `stringData`; a ConfigMap plain text under `data` and base64 under `binaryData`. */
function field(object: ConfigObject, names: readonly string[]): Uint8Array | undefined {
  const { data, stringData, binaryData } = object as Record<string, unknown>;
  const secret = object.kind !== 'ConfigMap';
  const plain = (secret ? stringData : data) as Record<string, string> | undefined;
  const encoded = (secret ? data : binaryData) as Record<string, string> | undefined;
  for (const name of names) {
    if (plain?.[name] !== undefined) return utf8.encode(plain[name]);
    if (encoded?.[name] === undefined) continue;
    try {
      return Uint8Array.from(atob(encoded[name]), (char) => char.charCodeAt(0));
    } catch {
      return undefined;
    }
  }
  return undefined;
}
