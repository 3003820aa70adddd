import { X509Certificate } from 'node:crypto';
import { access } from 'node:fs/promises';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { type CertificateAuthority, createSelfSigned } from './authority.ts';
import { type OpenAuthorityOptions, readMaterial, writeMaterial } from './authority-files.ts';
import { type AuthorityMaterial, isExternalMaterial } from './authority-material.ts';
import { CertificateRegister, type OutstandingCertificate } from './certificate-register.ts';
import { EndWatch } from './end-watch.ts';
import type { ExternalAuthority } from './external/external-authority.ts';
import { bundleHash, pemBlocks } from './pem.ts';
import { signerKey } from './revocation.ts';
import { RevocationKeeper } from './revocation-keeper.ts';
import { directorySource, externalSource, type Held, openHeld, type RingSource } from './ring-source.ts';
import { type ChainStatus, chainStatus, chainsOf, type RingStatus } from './ring-status.ts';
import {
  type RotationFiles,
  type RotationPhase,
  type RotationRecord,
  readRecord,
  recover,
  retire,
  rotationFiles,
  writeRecord,
} from './rotation-files.ts';
import { type DomainTrust, extrasHash, type TrustExtras } from './trust-extras.ts';

export interface AuthorityRingOptions extends OpenAuthorityOptions {
  /** The control plane's state directory; see `rotationFiles`. */
  readonly state: string;
  /** A directory with an authority of the user's, looked at again and again. Default: a self-signed root of our own. */
  readonly source?: string;
  /** Who signs elsewhere, and the file of its roots, which is looked at again and again. Instead of `source`. */
  readonly external?: { readonly authority: ExternalAuthority; readonly rootFile: string };
  readonly info?: (message: string) => void;
  /** How often a workload asks for news, in ms. Default 5 minutes. */
  readonly syncMs?: number;
  /** The same while a rotation goes on. Default 5 s, more in a mesh of more than 250 workloads. */
  readonly rotationSyncMs?: number;
  /** A workload that asked once and then not for this long is taken for gone, in ms. Default 15 minutes. */
  readonly silentMs?: number;
  /** How often the user's directory and a rotation's progress are looked at, in ms. Default 2 s. */
  readonly checkMs?: number;
}

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

/** A self-signed root is replaced when this part of its life is left. */
const renewAtPart = 0.1;
const maxWaitingShown = 100;
const defaultSyncMs = 5 * 60_000;

/**
 * The mesh's authority over time: which roots are trusted, which one signs, and the way from one root to the next without a
 * refused connection. Signs like one authority; `root` is the bundle that everybody trusts at present.
 */
export class AuthorityRing implements CertificateAuthority {
  readonly register: CertificateRegister;
  readonly #options: AuthorityRingOptions;
  readonly #files: RotationFiles;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #current: Held;
  #next: Held | undefined;
  #record: RotationRecord | undefined;
  #hurried = false;
  readonly #openedAt: number;
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
    const files = rotationFiles(options.state);
    await recover(files, exists);
    const source = sourceOf(options);
    const own = await openOwn(files, options);
    if (source && !(await exists(files.current))) {
      const material = await source.read();
      await source.check(material);
      await writeMaterial(files.current, material);
    }
    const current = await openHeld(files.current, options, options.external?.authority);
    const record = await readRecord(files);
    const next =
      record && (await openHeld(files.next, { ...options, create: false }, options.external?.authority));
    const register = new CertificateRegister({
      file: `${options.state}/certificates.json`,
      clock: options.clock ?? systemClock,
      ...(options.warn ? { warn: options.warn } : {}),
    });
    await register.load();
    const ring = new AuthorityRing(options, files, { current, next, record, register, source, own });
    await ring.#look();
    ring.#schedule();
    return ring;
  }

  private constructor(
    options: AuthorityRingOptions,
    files: RotationFiles,
    held: {
      current: Held;
      next: Held | undefined;
      record: RotationRecord | undefined;
      register: CertificateRegister;
      source: RingSource | undefined;
      own: Held | undefined;
    },
  ) {
    this.#options = options;
    this.#files = files;
    this.#clock = options.clock ?? systemClock;
    this.#openedAt = this.#clock.now();
    this.#current = held.current;
    this.#next = held.next;
    this.#record = held.record;
    this.register = held.register;
    this.#source = held.source;
    this.#own = held.own;
    this.#ends = new EndWatch(this.#clock, options.warn);
    this.#revocation = new RevocationKeeper({
      clock: this.#clock,
      register: this.register,
      warn: options.warn ?? (() => {}),
    });
  }

  get root(): string {
    const roots = [this.#current, ...(this.#next ? [this.#next] : [])].flatMap(({ material }) =>
      pemBlocks(material.root),
    );
    return [...new Set(roots)].join('');
  }

  get intermediates(): string {
    return this.#signer.authority.intermediates;
  }

  get notAfter(): Date {
    return this.#signer.authority.notAfter;
  }

  /**
   * Whoever joins knows the roots in force, not those to come: what is shown to it comes from the authority that those roots know,
   * until they are replaced.
   */
  get forServers(): CertificateAuthority {
    const { authority } = this.#current;
    return authority.external && this.#own ? this.#own.authority : authority;
  }

  get external(): boolean {
    return this.#signer.authority.external ?? false;
  }

  async issue(template: Parameters<CertificateAuthority['issue']>[0]) {
    const issued = await this.#signer.authority.issue(template);
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
        issuedUnder: bundleHash(this.#signer.material.root),
        signer: signerOf(this.#signer.material),
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
    const signer = this.#signer.material;
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
      renew: this.#record?.phase === 'issue' && !ours,
      nextMs: this.#nextSyncMs(),
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
    const earliest = this.register.earliestEnd();
    return {
      kind: this.#source?.kind ?? 'self-signed',
      chains: this.#chains(),
      revocation: this.#revocation.status(),
      trustDomains: this.extras.domains.map(({ trustDomain }) => trustDomain),
      certificates: this.register.size,
      ...(earliest === undefined ? {} : { earliestEnd: new Date(earliest) }),
      ...(this.#options.external ? { external: this.#options.external.authority.status() } : {}),
      ...(this.#record
        ? {
            rotation: {
              ...this.#record,
              waitingFor: this.#waiting(this.#record.phase)
                .slice(0, maxWaitingShown)
                .map(({ identity, instance }) => ({ identity, instance })),
            },
          }
        : {}),
    };
  }

  /** Begins the way to a new self-signed root. Throws `RotationRunning`, or `AuthorityPluggedIn` where the root is the user's. */
  rotate(): Promise<void> {
    return this.#serially(async () => {
      if (this.#record)
        throw new CodedError(
          'RotationRunning',
          'a rotation is going on already: see its state with `ostria ca status`',
        );
      if (this.#source) throw new CodedError('AuthorityPluggedIn', this.#source.mend);
      await this.#begin(await this.#newRoot());
    });
  }

  /** Goes on without those that are waited for: once, for the present phase. */
  hurry(): void {
    if (!this.#record) throw new CodedError('NoRotation', 'no rotation is going on');
    this.#hurried = true;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#working.catch(() => {});
    this.#options.external?.authority.close();
    await this.register.close();
  }

  #chains(): ChainStatus[] {
    const own =
      this.#own && this.forServers === this.#own.authority ? pemBlocks(this.#own.material.root) : [];
    return [
      ...chainsOf(this.#current.material, ''),
      ...(this.#next ? chainsOf(this.#next.material, 'next ') : []),
      ...own.map((pem) => chainStatus('control plane root', pem)),
    ];
  }

  /** Who signed it elsewhere is not to be seen on it: the register knows. */
  #isOurs(certificate: X509Certificate, signer: AuthorityMaterial): boolean {
    if (!isExternalMaterial(signer)) return isIssuedBy(certificate, signer);
    return this.register.get(certificate.serialNumber)?.issuedUnder === bundleHash(signer.root);
  }

  get #signer(): Held {
    return this.#record?.phase === 'issue' && this.#next ? this.#next : this.#current;
  }

  #nextSyncMs(): number {
    const { syncMs = defaultSyncMs, rotationSyncMs = 5_000 } = this.#options;
    // Every answer costs a handshake: a large mesh is asked less often.
    return this.#record ? Math.max(rotationSyncMs, Math.min(syncMs, this.register.size * 20)) : syncMs;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.#schedule());
    }, this.#options.checkMs ?? 2_000).unref();
  }

  /** Looks whether there is anything to do; what fails is told once and tried again. */
  async #look(): Promise<void> {
    try {
      await this.#serially(() => this.#step());
      this.#revocation.look(
        [this.#current, ...(this.#next ? [this.#next] : [])].map(({ material }) => material),
      );
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

  async #step(): Promise<void> {
    if (this.#record) return this.#advance(this.#record);
    if (this.#source) return this.#adopt(this.#source);
    if (this.#current.authority.external) {
      this.#options.info?.('no external authority is named any more: a self-signed root takes over');
      return this.#begin(await this.#newRoot());
    }
    const [root] = pemBlocks(this.#current.material.root);
    const certificate = new X509Certificate(root as string);
    const life = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
    if (certificate.validToDate.getTime() - this.#clock.now() < life * renewAtPart) {
      this.#options.info?.(`the root ends on ${certificate.validToDate.toISOString()}: a new one takes over`);
      await this.#begin(await this.#newRoot());
    }
  }

  #newRoot(): Promise<AuthorityMaterial> {
    const { clock, selfSigned } = this.#options;
    return createSelfSigned({ ...selfSigned, ...(clock ? { clock } : {}) });
  }

  /** The authority changed elsewhere: under the same roots it signs at once, under others the mesh moves to them. */
  async #adopt(source: RingSource): Promise<void> {
    const material = await source.read();
    if (sameMaterial(material, this.#current.material)) return;
    await source.check(material);
    const trusted = new Set(pemBlocks(this.#current.material.root));
    if (
      isExternalMaterial(material) !== isExternalMaterial(this.#current.material) ||
      pemBlocks(material.root).some((root) => !trusted.has(root)) ||
      pemBlocks(material.root).length < trusted.size
    )
      return this.#begin(material);
    await writeMaterial(this.#files.current, material);
    this.#current = await this.#open(this.#files.current);
    this.#options.info?.('the files of the authority were replaced');
    this.#changed();
  }

  #open(directory: string): Promise<Held> {
    return openHeld(directory, { ...this.#options, create: false }, this.#options.external?.authority);
  }

  async #begin(material: AuthorityMaterial): Promise<void> {
    await writeMaterial(this.#files.next, material);
    this.#next = await this.#open(this.#files.next);
    await this.#enter('trust');
  }

  async #enter(phase: RotationPhase): Promise<void> {
    const now = this.#clock.now();
    // Whom to wait for must be known after a crash too.
    await this.register.flush();
    const record = { phase, startedAt: this.#record?.startedAt ?? now, since: now };
    await writeRecord(this.#files, record);
    this.#record = record;
    this.#hurried = false;
    this.#options.info?.(
      phase === 'trust'
        ? 'rotation of the root: everybody learns to trust the new one'
        : 'rotation of the root: the new one signs, everybody renews',
    );
    this.#changed();
  }

  async #advance({ phase, since }: RotationRecord): Promise<void> {
    // Whoever joined in this very moment was answered with the old bundle: it asks again within this time.
    const now = this.#clock.now();
    if (now - since < 2 * this.#nextSyncMs()) return;
    // Certificates of the last moments before a crash are known by their holders alone: they ask within this time.
    if (now - this.#openedAt < 1.5 * (this.#options.syncMs ?? defaultSyncMs)) return;
    const waiting = this.#waiting(phase);
    if (waiting.length > 0 && !this.#hurried) return;
    if (waiting.length > 0)
      this.#options.warn?.(`rotation of the root: goes on without ${waiting.length} holders of certificates`);
    if (phase === 'trust') return this.#enter('issue');
    await retire(this.#files);
    this.#current = this.#next as Held;
    this.#next = undefined;
    this.#record = undefined;
    this.#hurried = false;
    this.#options.info?.('rotation of the root: done, the old one is trusted no more');
    this.#changed();
  }

  #waiting(phase: RotationPhase): OutstandingCertificate[] {
    const bundle = bundleHash(this.root);
    const issuer = bundleHash(this.#next?.material.root ?? '');
    return this.register.waiting(
      phase === 'trust' ? (one) => one.bundle === bundle : (one) => one.issuedUnder === issuer,
      this.#options.silentMs ?? 15 * 60_000,
    );
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function signerOf({ certificate }: AuthorityMaterial): string {
  return certificate === '' ? '' : signerKey(certificate);
}

function sourceOf(options: AuthorityRingOptions): RingSource | undefined {
  if (options.external) return externalSource(options.external.rootFile, options.clock);
  return options.source === undefined ? undefined : directorySource(options.source, options);
}

/**
 * The control plane's own authority beside an external one: what the mesh had before, so that whoever knows its root goes on, else
 * a new one. It is trusted for the connection to the control plane and for nothing else.
 */
async function openOwn(files: RotationFiles, options: AuthorityRingOptions): Promise<Held | undefined> {
  if (options.external && !(await exists(files.own)) && (await exists(files.current))) {
    const before = await readMaterial(files.current);
    if (!isExternalMaterial(before)) await writeMaterial(files.own, before);
  }
  if (!options.external && !(await exists(files.own))) return undefined;
  return openHeld(files.own, options, undefined);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function sameMaterial(a: AuthorityMaterial, b: AuthorityMaterial): boolean {
  const parts = ['certificate', 'key', 'root', 'chain', 'crl'] as const;
  return parts.every((part) => a[part] === b[part]);
}

function isIssuedBy(certificate: X509Certificate, { certificate: pem }: AuthorityMaterial): boolean {
  const issuer = new X509Certificate(pem);
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
