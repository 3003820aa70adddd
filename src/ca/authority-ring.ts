import { X509Certificate } from 'node:crypto';
import { systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import type { CertificateAuthority } from './authority.ts';
import { type AuthorityMaterial, isExternalMaterial } from './authority-material.ts';
import { CertificateRegister } from './certificate-register.ts';
import { EndWatch } from './end-watch.ts';
import { openRing, type RingParts } from './open-ring.ts';
import { bundleHash, pemBlocks } from './pem.ts';
import { signerKey } from './revocation.ts';
import { RevocationKeeper } from './revocation-keeper.ts';
import type { AuthorityRingOptions } from './ring-options.ts';
import { RingRotation } from './ring-rotation.ts';
import type { Held, RingSource } from './ring-source.ts';
import { type ChainStatus, chainStatus, chainsOf, type RingStatus } from './ring-status.ts';
import { type DomainTrust, extrasHash, type TrustExtras } from './trust-extras.ts';

/** What a workload is told that asks for news. */
export interface TrustAnswer {
  /** PEM; absent: what it has is right. */
  readonly bundle?: string;
  /** It should get a new certificate now. */
  readonly renew: boolean;
  /** When to ask again, in ms. */
  readonly nextMs: number;
  /** Absent: what it has is right. */
  readonly extras?: TrustExtras;
}

const maxWaitingShown = 100;

/**
 * The mesh's authority over time: which roots are trusted, which one signs, and the way from one root to the next without a
 * refused connection. Signs like one authority; `root` is the bundle that everybody trusts at present.
 */
export class AuthorityRing implements CertificateAuthority {
  readonly register: CertificateRegister;
  readonly #options: AuthorityRingOptions;
  readonly #rotation: RingRotation;
  readonly #listeners = new Set<() => void>();
  readonly #source: RingSource | undefined;
  /** Signs for the control plane where the workloads' certificates come from elsewhere. */
  readonly #own: Held | undefined;
  readonly #ends: EndWatch;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #problem = '';
  readonly #revocation: RevocationKeeper;
  #domains: readonly DomainTrust[] = [];

  static async open(options: AuthorityRingOptions): Promise<AuthorityRing> {
    const parts = await openRing(options);
    const register = new CertificateRegister({
      file: `${options.state}/certificates.json`,
      clock: options.clock ?? systemClock,
      ...(options.warn ? { warn: options.warn } : {}),
    });
    await register.load();
    const ring = new AuthorityRing(options, parts, register);
    await ring.#look();
    ring.#schedule();
    return ring;
  }

  private constructor(options: AuthorityRingOptions, parts: RingParts, register: CertificateRegister) {
    this.#options = options;
    this.register = register;
    this.#rotation = new RingRotation(options, parts, register, () => this.#changed());
    this.#source = parts.source;
    this.#own = parts.own;
    const clock = options.clock ?? systemClock;
    this.#ends = new EndWatch(clock, options.warn);
    this.#revocation = new RevocationKeeper({ clock, register, warn: options.warn ?? (() => {}) });
  }

  get root(): string {
    return this.#rotation.root;
  }

  get intermediates(): string {
    return this.#rotation.signer.authority.intermediates;
  }

  get notAfter(): Date {
    return this.#rotation.signer.authority.notAfter;
  }

  /**
   * Whoever joins knows the roots in force, not those to come: what is shown to it comes from the authority that those roots know,
   * until they are replaced.
   */
  get forServers(): CertificateAuthority {
    const { authority } = this.#rotation.current;
    return authority.external && this.#own ? this.#own.authority : authority;
  }

  get external(): boolean {
    return this.#rotation.signer.authority.external ?? false;
  }

  async issue(template: Parameters<CertificateAuthority['issue']>[0]) {
    const issued = await this.#rotation.signer.authority.issue(template);
    return { ...issued, root: this.root };
  }

  /** Told after the bundle or the signer changed. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Remembers a certificate that was issued, and with which one it was asked for. */
  issued(certificate: { serialNumber: string; identity: string; notAfter: Date }, replaces?: string): void {
    this.register.issued(
      {
        serialNumber: certificate.serialNumber,
        identity: certificate.identity,
        notAfter: certificate.notAfter.getTime(),
        bundle: bundleHash(this.root),
        issuedUnder: bundleHash(this.#rotation.signer.material.root),
        signer: signerOf(this.#rotation.signer.material),
      },
      replaces,
    );
  }

  /** A workload asks for news: what it holds is remembered, and what it lacks is answered. */
  sync(report: {
    certificate: X509Certificate;
    identity: string;
    bundle: string;
    instance: string;
    /** '' or absent: the holder knows of none. */
    extras?: string;
  }): TrustAnswer {
    const signer = this.#rotation.signer.material;
    const ours = this.#isOurs(report.certificate, signer);
    this.register.synced({
      serialNumber: report.certificate.serialNumber,
      identity: report.identity,
      notAfter: report.certificate.validToDate.getTime(),
      bundle: report.bundle,
      issuedUnder: ours ? bundleHash(signer.root) : '',
      signer: ours ? signerOf(signer) : (this.register.get(report.certificate.serialNumber)?.signer ?? ''),
      instance: report.instance,
    });
    const root = this.root;
    const { extras } = this;
    return {
      ...(report.bundle === bundleHash(root) ? {} : { bundle: root }),
      ...(report.extras && report.extras !== extrasHash(extras) ? { extras } : {}),
      renew: this.#rotation.record?.phase === 'issue' && !ours,
      nextMs: this.#rotation.nextSyncMs(),
    };
  }

  /** What workloads trust and distrust beside the roots. Envoy minds no lists of revoked certificates where it minds trust domains. */
  get extras(): TrustExtras {
    const { crl } = this.#revocation;
    return { crl, domains: crl === '' ? this.#domains : [] };
  }

  /** Which roots speak for which trust domain; empty: the mesh's for all. */
  setDomains(domains: readonly DomainTrust[]): void {
    this.#domains = domains;
    if (domains.length > 0 && this.#revocation.crl !== '')
      this.#options.warn?.(
        'other trust domains are not trusted while a list of revoked certificates (ca-crl.pem) is in force: Envoy checks one or the other',
      );
  }

  isRevoked(certificate: X509Certificate): boolean {
    return this.#revocation.isRevoked(certificate);
  }

  status(): RingStatus {
    const { record } = this.#rotation;
    const earliest = this.register.earliestEnd();
    return {
      kind: this.#source?.kind ?? 'self-signed',
      chains: this.#chains(),
      revocation: this.#revocation.status(),
      trustDomains: this.extras.domains.map(({ trustDomain }) => trustDomain),
      certificates: this.register.size,
      ...(earliest === undefined ? {} : { earliestEnd: new Date(earliest) }),
      ...(this.#options.external ? { external: this.#options.external.authority.status() } : {}),
      ...(record
        ? {
            rotation: {
              ...record,
              waitingFor: this.#rotation
                .waiting(record.phase)
                .slice(0, maxWaitingShown)
                .map(({ identity, instance }) => ({ identity, instance })),
            },
          }
        : {}),
    };
  }

  /** Begins the way to a new self-signed root. Throws `RotationRunning`, or `AuthorityPluggedIn` where the root is the user's. */
  rotate(): Promise<void> {
    return this.#serially(() => this.#rotation.rotate());
  }

  /** Goes on without those that are waited for: once, for the present phase. */
  hurry(): void {
    this.#rotation.hurry();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#working.catch(() => {});
    this.#options.external?.authority.close();
    await this.register.close();
  }

  #chains(): ChainStatus[] {
    const { current, next } = this.#rotation;
    const own =
      this.#own && this.forServers === this.#own.authority ? pemBlocks(this.#own.material.root) : [];
    return [
      ...chainsOf(current.material, ''),
      ...(next ? chainsOf(next.material, 'next ') : []),
      ...own.map((pem) => chainStatus('control plane root', pem)),
    ];
  }

  /** Who signed it elsewhere is not to be seen on it: the register knows. */
  #isOurs(certificate: X509Certificate, signer: AuthorityMaterial): boolean {
    if (!isExternalMaterial(signer)) return isIssuedBy(certificate, signer);
    return this.register.get(certificate.serialNumber)?.issuedUnder === bundleHash(signer.root);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.#schedule());
    }, this.#options.checkMs ?? 2_000).unref();
  }

  /** Looks whether there is anything to do; what fails is told once and tried again. */
  async #look(): Promise<void> {
    try {
      await this.#serially(() => this.#rotation.step());
      this.#revocation.look(this.#rotation.held.map(({ material }) => material));
      this.#problem = '';
      this.#ends.look(this.#chains());
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem)
        this.#options.warn?.(`the certificate authority stays as it is: ${problem}`);
      this.#problem = problem;
    }
  }

  #serially(work: () => Promise<void>): Promise<void> {
    const done = this.#working.catch(() => {}).then(work);
    this.#working = done;
    return done;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function signerOf({ certificate }: AuthorityMaterial): string {
  return certificate === '' ? '' : signerKey(certificate);
}

function isIssuedBy(certificate: X509Certificate, { certificate: pem }: AuthorityMaterial): boolean {
  const issuer = new X509Certificate(pem);
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
