import { join } from 'node:path';
import type { Authenticator } from '../ca/authenticate.ts';
import { AuthorityRing } from '../ca/authority-ring.ts';
import { serveCertificates } from '../ca/certificate-server.ts';
import { createCertificateService } from '../ca/certificate-service.ts';
import { createSigner } from '../ca/external/create-signer.ts';
import { ExternalAuthority } from '../ca/external/external-authority.ts';
import { openJoinTokens } from '../ca/join-token.ts';
import { pemBlocks } from '../ca/pem.ts';
import type { AuthorityRingOptions } from '../ca/ring-options.ts';
import { withRoot } from '../ca/server-certificate.ts';
import {
  type IdentitySettings,
  noIdentitySettings,
  readIdentitySettings,
} from '../ca/settings/identity-settings.ts';
import type { DomainTrust } from '../ca/trust-extras.ts';
import { serveTrust } from '../ca/trust-service.ts';
import { writeFileAtomic } from '../kit/atomic-file.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import type { XdsListener } from '../xds/server.ts';
import type { Logger } from './log.ts';
import { OwnCertificate } from './own-certificate.ts';
import { type AccountTokens, type AuthenticateCaller, createAdmission } from './who-may-connect.ts';

export interface IdentityService {
  ring: AuthorityRing;
  /** TLS settings of the xDS listener, with the roots that clients' certificates must come from. */
  tls: NonNullable<XdsListener['tls']>;
  authenticate: AuthenticateCaller;
  /** The mesh's own, then its aliases as they are now. */
  trustDomains: readonly string[];
  /** Certificates of these trust domains count as the mesh's own from now on, those of earlier aliases no longer. */
  setAliases(aliases: readonly string[]): void;
  /** Who holds a certificate of the mesh. */
  holders: Authenticator;
  /** Serves CreateCertificate on the listener named `tls`. */
  otherCalls: NonNullable<Parameters<typeof import('../xds/server.ts').createXdsServer>[0]['otherCalls']>;
  /** Which roots speak for which trust domain; empty: the mesh's for all. */
  setDomains(domains: readonly DomainTrust[]): void;
  /** From now on tokens of our own API server count. */
  useAccountTokens(tokens: AccountTokens): void;
  /** Renews the server certificate at half life. */
  keep(use: (tls: NonNullable<XdsListener['tls']>) => void): void;
  close(): Promise<void>;
}

/** Directory of join tokens below the control plane's state: the supervisor mints them, the certificate authority redeems them. */
export function joinTokenDirectory(state: string): string {
  return join(state, 'join-tokens');
}

/** File, below the control plane's state, of what its own certificate comes from: what whoever joins is to know. */
export function controlPlaneRootsFile(state: string): string {
  return join(state, 'control-plane-roots.pem');
}

/** The certificate authority, who may connect, and the control plane's own certificate. */
export async function openIdentityService(options: {
  state: string;
  ca?: string;
  trustDomain: string;
  trustDomainAliases: readonly string[];
  host: string;
  /** The file of `--identity`. */
  settingsFile?: string;
  /** How fast roots are replaced; see AuthorityRingOptions. */
  rotation?: Pick<AuthorityRingOptions, 'syncMs' | 'rotationSyncMs' | 'checkMs'>;
  log: Logger;
}): Promise<IdentityService> {
  const { log } = options;
  const settings =
    options.settingsFile === undefined
      ? noIdentitySettings
      : await readIdentitySettings(options.settingsFile);
  if (settings.externalAuthority && options.ca !== undefined)
    throw new CodedError(
      'OptionInvalid',
      `--ca and externalAuthority (${options.settingsFile}) exclude each other: one of them signs`,
    );
  const ring = await openRing(options, settings);
  const tokens = openJoinTokens({ directory: joinTokenDirectory(options.state) });
  // One list for all who look, which changes in place.
  const trustDomains: [string, ...string[]] = [options.trustDomain, ...options.trustDomainAliases];
  const admission = createAdmission({
    settings,
    tokens,
    trustDomains,
    isRevoked: (certificate) => ring.isRevoked(certificate),
    log,
  });
  const { limits, registrationAuthorities } = settings;
  const service = createCertificateService({
    authority: ring,
    authenticators: admission.forCertificates,
    registrationAuthorities: { identities: registrationAuthorities, trustDomains },
    limits: {
      ...(limits.certificatesPerIdentity ? { perIdentity: limits.certificatesPerIdentity } : {}),
      ...(limits.certificatesPerAddress ? { perAddress: limits.certificatesPerAddress } : {}),
      ...(limits.certificatesTotal ? { total: limits.certificatesTotal } : {}),
    },
    issued: (certificate, replaces) => ring.issued(certificate, replaces),
    audit: (event) =>
      event.outcome === 'issued'
        ? log.info(event, 'certificate issued')
        : log.warn(event, 'certificate refused'),
  });
  let ownRoots = '';
  const own = await OwnCertificate.issue({ ring, host: options.host, warn: (message) => log.warn(message) });
  const unfollowRoots = await keepRootsFile(controlPlaneRootsFile(options.state), ring, log);
  const tls = (): NonNullable<XdsListener['tls']> => ({
    key: own.current.key,
    cert: withRoot(own.current.certificateChain, ring.forServers.root),
    ca: ring.root + ownRoots,
    minVersion: 'TLSv1.2',
  });
  const sweep = setInterval(() => tokens.sweep(), 60_000).unref();
  let update: () => void = () => {};
  return {
    ring,
    get tls() {
      return tls();
    },
    authenticate: admission.forXds,
    holders: admission.holders,
    setDomains(domains) {
      ring.setDomains(domains);
      // Proxies of the mesh's own trust domain may come with certificates of somebody else: of a SPIRE, for one.
      ownRoots = domains.find(({ trustDomain }) => trustDomain === options.trustDomain)?.roots ?? '';
      update();
    },
    setAliases(aliases) {
      trustDomains.splice(1, trustDomains.length, ...aliases);
    },
    useAccountTokens: (accounts) => admission.useAccountTokens(accounts),
    trustDomains,
    otherCalls: (stream, headers, listener) =>
      listener.name === 'tls' &&
      (serveCertificates(service, stream, headers) || serveTrust(ring, [admission.holders], stream, headers)),
    keep(use) {
      update = () => use(tls());
      own.keep(update);
    },
    async close() {
      clearInterval(sweep);
      own.close();
      unfollowRoots();
      await ring.close();
    },
  };
}

function openRing(
  options: Parameters<typeof openIdentityService>[0],
  { externalAuthority, rootKeyType }: IdentitySettings,
): Promise<AuthorityRing> {
  const { log } = options;
  const told = {
    warn: (message: string) => log.warn(message),
    info: (message: string) => log.info(message),
  };
  const external = externalAuthority && {
    authority: new ExternalAuthority({ signer: createSigner(externalAuthority), ...told }),
    rootFile: externalAuthority.rootFile,
  };
  return AuthorityRing.open({
    state: options.state,
    ...(options.ca !== undefined ? { source: options.ca } : {}),
    ...(external ? { external } : {}),
    selfSigned: { organization: options.trustDomain, ...(rootKeyType ? { keyType: rootKeyType } : {}) },
    ...options.rotation,
    ...told,
  });
}

/** Keeps the file as the roots are. Returns the way to stop. */
async function keepRootsFile(path: string, ring: AuthorityRing, log: Logger): Promise<() => void> {
  const write = async (): Promise<void> => {
    const roots = [...pemBlocks(ring.forServers.root), ...pemBlocks(ring.root)];
    await writeFileAtomic(path, [...new Set(roots)].join(''), 0o644);
  };
  await write();
  let writing = Promise.resolve();
  return ring.onChange(() => {
    writing = writing.then(write).catch((error: unknown) => {
      log.error(`${path} cannot be kept: ${messageOf(error)}`);
    });
  });
}
