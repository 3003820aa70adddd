import { X509Certificate } from 'node:crypto';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError } from '../kit/coded-error.ts';
import { createSelfSigned } from './authority.ts';
import { writeMaterial } from './authority-files.ts';
import { type AuthorityMaterial, isExternalMaterial } from './authority-material.ts';
import type { CertificateRegister, OutstandingCertificate } from './certificate-register.ts';
import type { RingParts } from './open-ring.ts';
import { bundleHash, pemBlocks } from './pem.ts';
import { type AuthorityRingOptions, defaultSyncMs } from './ring-options.ts';
import { type Held, openHeld, type RingSource } from './ring-source.ts';
import {
  type RotationFiles,
  type RotationPhase,
  type RotationRecord,
  retire,
  writeRecord,
} from './rotation-files.ts';

/** A self-signed root is replaced when this part of its life is left. */
const renewAtPart = 0.1;

/** The way from one root to the next: which are trusted at present, which one signs, and when the next step is due. */
export class RingRotation {
  readonly #options: AuthorityRingOptions;
  readonly #files: RotationFiles;
  readonly #clock: Clock;
  readonly #openedAt: number;
  readonly #register: CertificateRegister;
  readonly #source: RingSource | undefined;
  readonly #changed: () => void;
  #current: Held;
  #next: Held | undefined;
  #record: RotationRecord | undefined;
  #hurried = false;

  /** `changed` is called after the bundle or the signer changed. */
  constructor(
    options: AuthorityRingOptions,
    parts: RingParts,
    register: CertificateRegister,
    changed: () => void,
  ) {
    this.#options = options;
    this.#files = parts.files;
    this.#clock = options.clock ?? systemClock;
    this.#openedAt = this.#clock.now();
    this.#register = register;
    this.#source = parts.source;
    this.#changed = changed;
    this.#current = parts.current;
    this.#next = parts.next;
    this.#record = parts.record;
  }

  get current(): Held {
    return this.#current;
  }

  get next(): Held | undefined {
    return this.#next;
  }

  /** Undefined: no rotation is going on. */
  get record(): RotationRecord | undefined {
    return this.#record;
  }

  /** All that is trusted. */
  get held(): readonly Held[] {
    return [this.#current, ...(this.#next ? [this.#next] : [])];
  }

  get signer(): Held {
    return this.#record?.phase === 'issue' && this.#next ? this.#next : this.#current;
  }

  /** The bundle that everybody trusts. */
  get root(): string {
    const roots = this.held.flatMap(({ material }) => pemBlocks(material.root));
    return [...new Set(roots)].join('');
  }

  /** Begins the way to a new self-signed root. Throws `RotationRunning`, or `AuthorityPluggedIn` where the root is the user's. */
  async rotate(): Promise<void> {
    if (this.#record)
      throw new CodedError(
        'RotationRunning',
        'a rotation is going on already: see its state with `ostria ca status`',
      );
    if (this.#source) throw new CodedError('AuthorityPluggedIn', this.#source.mend);
    await this.#begin(await this.#newRoot());
  }

  /** Goes on without those that are waited for: once, for the present phase. */
  hurry(): void {
    if (!this.#record) throw new CodedError('NoRotation', 'no rotation is going on');
    this.#hurried = true;
  }

  /** When a workload is to ask for news again. */
  nextSyncMs(): number {
    const { syncMs = defaultSyncMs, rotationSyncMs = 5_000 } = this.#options;
    // Every answer costs a handshake: a large mesh is asked less often.
    return this.#record ? Math.max(rotationSyncMs, Math.min(syncMs, this.#register.size * 20)) : syncMs;
  }

  /** Looks whether there is anything to do, and does it. */
  async step(): Promise<void> {
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
    await this.#register.flush();
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
    if (now - since < 2 * this.nextSyncMs()) return;
    // Certificates of the last moments before a crash are known by their holders alone: they ask within this time.
    if (now - this.#openedAt < 1.5 * (this.#options.syncMs ?? defaultSyncMs)) return;
    const waiting = this.waiting(phase);
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

  /** Holders of certificates without whom a phase does not end. */
  waiting(phase: RotationPhase): OutstandingCertificate[] {
    const bundle = bundleHash(this.root);
    const issuer = bundleHash(this.#next?.material.root ?? '');
    return this.#register.waiting(
      phase === 'trust' ? (one) => one.bundle === bundle : (one) => one.issuedUnder === issuer,
      this.#options.silentMs ?? 15 * 60_000,
    );
  }
}

function sameMaterial(a: AuthorityMaterial, b: AuthorityMaterial): boolean {
  const parts = ['certificate', 'key', 'root', 'chain', 'crl'] as const;
  return parts.every((part) => a[part] === b[part]);
}
