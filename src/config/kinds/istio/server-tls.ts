import type { GatewayServersTls } from '../../../../gen/crd/types/istio/gateway.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { cipherSuites } from './cipher-suites.ts';
import { each } from './common.ts';

const VERSIONS = ['TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'];

/** TLS settings of a listener: where its certificate comes from, and no more than one place. */
export function checkServerTls(report: Report, path: FieldPath, tls: GatewayServersTls | undefined): void {
  if (!tls) return;
  warnUseless(report, path, tls);
  const mode = tls.mode ?? 'PASSTHROUGH';
  if (mode === 'ISTIO_MUTUAL') checkIstioMutual(report, path, tls);
  if (mode === 'ISTIO_MUTUAL' || mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH') return;
  const sources = [
    tls.credentialName && 'credentialName',
    tls.credentialNames?.length && 'credentialNames',
    tls.serverCertificate && tls.privateKey && 'serverCertificate',
    tls.tlsCertificates?.length && 'tlsCertificates',
  ].filter(Boolean);
  if (sources.length > 1) report.invalid(path, `set only one of ${sources.join(', ')}`);
  if (tls.credentialName || tls.credentialNames?.length) {
    for (const field of ['serverCertificate', 'privateKey'] as const)
      if (tls[field]) report.warn(path.field(field), 'is not used: the certificate comes from a credential');
    return;
  }
  if (tls.caCrl && mode === 'SIMPLE')
    report.error(
      path.field('caCrl'),
      'FieldValueForbidden',
      'revocation lists are for client certificates; SIMPLE asks for none',
    );
  if (tls.tlsCertificates?.length) {
    warnUnusedAuthorities(report, path, tls);
    each(tls.tlsCertificates, path.field('tlsCertificates'), (pair, place) => checkPair(report, place, pair));
    if (tls.tlsCertificates.length > 2)
      report.warn(path.field('tlsCertificates'), 'more than 2 certificates: one RSA and one ECDSA are used');
  } else {
    checkPair(report, path, tls);
  }
  const hasCa =
    tls.caCertificates ||
    tls.caCertCredentialName ||
    tls.tlsCertificates?.some((pair) => pair.caCertificates);
  if (mode !== 'SIMPLE' && !hasCa)
    report.required(path.field('caCertificates'), `${mode} needs the authorities of client certificates`);
}

function checkPair(
  report: Report,
  path: FieldPath,
  pair: { serverCertificate?: string; privateKey?: string },
): void {
  for (const field of ['serverCertificate', 'privateKey'] as const)
    if (!pair[field]) report.required(path.field(field), 'is required, unless credentialName is set');
}

/** One set of authorities counts for a server: its own, else the first of its certificates'. */
function warnUnusedAuthorities(report: Report, path: FieldPath, tls: GatewayServersTls): void {
  const field = 'caCertificates';
  let used = tls.caCertCredentialName ? 'caCertCredentialName' : tls.caCertificates ? field : '';
  for (const [index, pair] of (tls.tlsCertificates ?? []).entries()) {
    if (!pair.caCertificates) continue;
    const place = path.field('tlsCertificates').index(index).field(field);
    if (used) report.warn(place, `is not used: ${used} of the server counts for all its certificates`);
    else used = `tlsCertificates[${index}].${field}`;
  }
}

function checkIstioMutual(report: Report, path: FieldPath, tls: GatewayServersTls): void {
  for (const field of [
    'serverCertificate',
    'privateKey',
    'caCertificates',
    'caCrl',
    'credentialName',
    'credentialNames',
    'tlsCertificates',
  ] as const)
    if (tls[field]?.length)
      report.error(
        path.field(field),
        'FieldValueForbidden',
        'ISTIO_MUTUAL uses the certificate of the mesh; remove it',
      );
}

function warnUseless(report: Report, path: FieldPath, tls: GatewayServersTls): void {
  const seen = new Set<string>();
  each(tls.cipherSuites, path.field('cipherSuites'), (cipher, place) => {
    if (!cipherSuites.has(cipher))
      report.warn(place, `${quote(cipher)} is no cipher suite of Envoy and is ignored`);
    else if (seen.has(cipher)) report.warn(place, `${quote(cipher)} is listed twice`);
    seen.add(cipher);
  });
  const min = VERSIONS.indexOf(tls.minProtocolVersion ?? '');
  const max = VERSIONS.indexOf(tls.maxProtocolVersion ?? '');
  if (min >= 0 && max >= 0 && min > max)
    report.invalid(path.field('minProtocolVersion'), 'must not be newer than maxProtocolVersion');
  const minVersion = tls.minProtocolVersion;
  if ((minVersion === 'TLSV1_0' || minVersion === 'TLSV1_1') && !tls.cipherSuites?.length)
    report.warn(
      path.field('minProtocolVersion'),
      `${minVersion} needs cipherSuites that it knows: the default ones are for TLS 1.2`,
    );
  each(tls.subjectAltNames, path.field('subjectAltNames'), (name, place) => {
    if (name === '') report.invalid(place, 'must not be empty');
  });
}
