import type { CertificateSource, TrustSource } from '../../../plan/cluster-plan.ts';
import { anchorsOfFiles, type FileSecret, pairOfFiles } from '../../../plan/file-secret.ts';
import type { DownstreamTls } from '../../../plan/listener-plan.ts';
import type { View } from '../../../snapshot/view.ts';
import { anchorsOf, secretName } from './credentials.ts';
import type { Server, ServerTls } from './kinds.ts';

/** The credentials that a server names for its own certificates. */
export function certificateCredentials(tls: ServerTls): readonly string[] {
  if (tls.credentialNames?.length) return tls.credentialNames;
  return tls.credentialName ? [tls.credentialName] : [];
}

/** Where the anchors for client certificates are, when a credential holds them. */
export function trustCredential(tls: ServerTls): string | undefined {
  if (!asksForCertificate(tls) || tls.mode === 'ISTIO_MUTUAL') return undefined;
  const name = tls.caCertCredentialName || certificateCredentials(tls)[0];
  return name === undefined ? undefined : anchorsOf(name);
}

function asksForCertificate({ mode }: ServerTls): boolean {
  return mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL' || mode === 'ISTIO_MUTUAL';
}

export function serverTls(view: View, { tls = {} }: Server, http: boolean): DownstreamTls {
  const mesh = tls.mode === 'ISTIO_MUTUAL';
  const trust = asksForCertificate(tls) ? trustOf(tls) : undefined;
  return {
    certificates: certificatesOf(tls),
    ...(trust ? { trust } : {}),
    requireClientCertificate: tls.mode === 'MUTUAL' || mesh,
    subjectAltNames: tls.subjectAltNames ?? [],
    // Names are alternatives: beside those that the user asks for, any of the trust domain would do.
    ...(mesh && !tls.subjectAltNames?.length
      ? {
          trustDomains: [
            view.mesh('trustDomain'),
            ...view.mesh('trustDomainAliases'),
            ...view.mesh('federatedTrustDomains'),
          ],
        }
      : {}),
    ...(tls.verifyCertificateSpki?.length ? { verifySpki: tls.verifyCertificateSpki } : {}),
    ...(tls.verifyCertificateHash?.length ? { verifyHash: tls.verifyCertificateHash } : {}),
    ...(trust && tls.insecureSkipVerify ? { acceptUntrusted: true } : {}),
    alpn: http ? ['h2', 'http/1.1'] : [],
    ...(tls.minProtocolVersion ? { minVersion: tls.minProtocolVersion } : {}),
    ...(tls.maxProtocolVersion ? { maxVersion: tls.maxProtocolVersion } : {}),
    ...(tls.cipherSuites?.length ? { cipherSuites: [...new Set(tls.cipherSuites)] } : {}),
  };
}

function certificatesOf(tls: ServerTls): CertificateSource[] {
  if (tls.mode === 'ISTIO_MUTUAL') return [{ type: 'mesh' }];
  const credentials = certificateCredentials(tls);
  if (credentials.length > 0) return credentials.map((name) => ({ type: 'secret', name: secretName(name) }));
  return filePairs(tls).map(({ name }) => ({ type: 'secret', name }));
}

export function fileSecrets(tls: ServerTls): FileSecret[] {
  if (tls.mode === 'ISTIO_MUTUAL' || certificateCredentials(tls).length > 0) return [];
  const anchors = asksForCertificate(tls) && !tls.caCertCredentialName ? fileAnchors(tls) : undefined;
  return [...filePairs(tls), ...(anchors ? [anchors] : [])];
}

function filePairs(tls: ServerTls): FileSecret[] {
  const pairs = tls.tlsCertificates?.length ? tls.tlsCertificates : [tls];
  return pairs.flatMap(({ serverCertificate, privateKey }): FileSecret[] =>
    serverCertificate && privateKey ? [pairOfFiles(serverCertificate, privateKey)] : [],
  );
}

function fileAnchors(tls: ServerTls): FileSecret | undefined {
  const path = tls.caCertificates || tls.tlsCertificates?.find((pair) => pair.caCertificates)?.caCertificates;
  return path ? anchorsOfFiles(path, tls.caCrl) : undefined;
}

function trustOf(tls: ServerTls): TrustSource {
  if (tls.mode === 'ISTIO_MUTUAL') return { type: 'mesh' };
  const credential = trustCredential(tls);
  if (credential !== undefined) return { type: 'secret', name: secretName(credential) };
  // Without anchors nobody is let in.
  return { type: 'secret', name: fileAnchors(tls)?.name ?? secretName('none-cacert') };
}
