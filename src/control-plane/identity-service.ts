import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { certificateAuthenticator, identityOf, joinTokenAuthenticator } from '../ca/authenticate.ts';
import { AuthorityRing, type AuthorityRingOptions } from '../ca/authority-ring.ts';
import { serveCertificates } from '../ca/certificate-server.ts';
import { createCertificateService } from '../ca/certificate-service.ts';
import { openJoinTokens } from '../ca/join-token.ts';
import { issueWithNewKey, keepServerCertificate, type ServerCertificate } from '../ca/server-certificate.ts';
import { serveTrust } from '../ca/trust-service.ts';
import { messageOf } from '../kit/coded-error.ts';
import type { Authenticate } from '../xds/authenticate.ts';
import type { XdsListener } from '../xds/server.ts';
import type { Logger } from './log.ts';

/** The name that agents expect in the control plane's certificate. */
export const controlPlaneName = 'istiod.istio-system.svc';

export interface IdentityService {
  ring: AuthorityRing;
  /** TLS settings of the xDS listener, with the roots that clients' certificates must come from. */
  tls: NonNullable<XdsListener['tls']>;
  authenticate: Authenticate;
  trustDomains: readonly string[];
  /** Serves CreateCertificate on the listener named `tls`. */
  otherCalls: NonNullable<Parameters<typeof import('../xds/server.ts').createXdsServer>[0]['otherCalls']>;
  /** Renews the server certificate at half life. */
  keep(use: (tls: NonNullable<XdsListener['tls']>) => void): void;
  close(): Promise<void>;
}

/** Directory of join tokens below the control plane's state: the supervisor mints them, the certificate authority redeems them. */
export function joinTokenDirectory(state: string): string {
  return join(state, 'join-tokens');
}

/** The certificate authority, who may connect, and the control plane's own certificate. */
export async function openIdentityService(options: {
  state: string;
  ca?: string;
  trustDomain: string;
  trustDomainAliases: readonly string[];
  host: string;
  /** How fast roots are replaced; see AuthorityRingOptions. */
  rotation?: Pick<AuthorityRingOptions, 'syncMs' | 'rotationSyncMs' | 'checkMs'>;
  log: Logger;
}): Promise<IdentityService> {
  const { log } = options;
  const ring = await AuthorityRing.open({
    state: options.state,
    ...(options.ca !== undefined ? { source: options.ca } : {}),
    ...options.rotation,
    warn: (message) => log.warn(message),
    info: (message) => log.info(message),
  });
  const tokens = openJoinTokens({ directory: joinTokenDirectory(options.state) });
  const trustDomains = [options.trustDomain, ...options.trustDomainAliases];
  const holders = certificateAuthenticator({ trustDomains });
  const service = createCertificateService({
    authority: ring,
    authenticators: [holders, joinTokenAuthenticator(tokens)],
    issued: (certificate, replaces) => ring.issued(certificate, replaces),
    audit: (event) =>
      event.outcome === 'issued'
        ? log.info(event, 'certificate issued')
        : log.warn(event, 'certificate refused'),
  });
  const names = {
    dnsNames: [controlPlaneName, 'istiod.istio-system', 'localhost'],
    ipAddresses: [
      ...new Set([
        '127.0.0.1',
        '::1',
        ...(options.host === '0.0.0.0' || options.host === '::' ? [] : [options.host]),
      ]),
    ].filter((address) => /^[\d.]+$|:/.test(address)),
    usages: ['server'] as const,
  };
  let current = await issueWithNewKey(ring.forServers, names);
  const tlsOf = (certificate: ServerCertificate): NonNullable<XdsListener['tls']> => ({
    key: certificate.key,
    cert: certificate.certificateChain,
    ca: ring.root,
    minVersion: 'TLSv1.2',
  });
  const sweep = setInterval(() => tokens.sweep(), 60_000).unref();
  let stop = (): void => {};
  return {
    ring,
    tls: tlsOf(current),
    authenticate: authenticator(trustDomains),
    trustDomains,
    otherCalls: (stream, headers, listener) =>
      listener.name === 'tls' &&
      (serveCertificates(service, stream, headers) || serveTrust(ring, [holders], stream, headers)),
    keep(use) {
      const keep = () =>
        keepServerCertificate({
          authority: ring.forServers,
          names,
          current,
          use: (certificate) => {
            current = certificate;
            use(tlsOf(certificate));
          },
          warn: (message) => log.warn(message),
        });
      let stopKeeping = keep();
      let issuer = ring.forServers;
      const unfollow = ring.onChange(() => {
        if (ring.forServers === issuer) return use(tlsOf(current));
        issuer = ring.forServers;
        stopKeeping();
        issueWithNewKey(issuer, names).then(
          (certificate) => {
            current = certificate;
            use(tlsOf(current));
            stopKeeping = keep();
          },
          (error: unknown) =>
            log.error(`the control plane has no certificate of the new authority: ${messageOf(error)}`),
        );
      });
      stop = () => {
        unfollow();
        stopKeeping();
      };
    },
    async close() {
      clearInterval(sweep);
      stop();
      await ring.close();
    },
  };
}

/** Proxies prove who they are with a certificate of the mesh; the plaintext listener takes their word (it is loopback only). */
function authenticator(trustDomains: readonly string[]): Authenticate {
  return ({ listener, peerCertificate }) => {
    if (listener === 'plaintext') return { ok: true, identity: undefined };
    if (!peerCertificate)
      return {
        ok: false,
        error: 'a client certificate of the mesh is needed: get one with CreateCertificate on this port',
      };
    const identity = identityOf(new X509Certificate(peerCertificate));
    if (!identity) return { ok: false, error: 'the client certificate carries not exactly one SPIFFE id' };
    if (!trustDomains.includes(identity.trustDomain))
      return { ok: false, error: `the client certificate is of trust domain ${identity.trustDomain}` };
    return { ok: true, identity };
  };
}
