import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '../kit/atomic-file.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';

/** A certificate that may be in use. */
export interface OutstandingCertificate {
  /** Upper-case hexadecimal. */
  readonly serialNumber: string;
  /** SPIFFE id. */
  readonly identity: string;
  /** Ms since the epoch. */
  readonly notAfter: number;
  /** Hash of the roots that its holder trusts, as far as is known. */
  bundle: string;
  /** Hash of the roots under which it was issued. */
  readonly issuedUnder: string;
  /** The authority that signed it, as `signerKey` names it; '' when it is not known. */
  readonly signer?: string;
  /** When its holder last asked for news, ms since the epoch; 0: it never did, and learns of new roots by renewing alone. */
  lastSync: number;
  /** The holder's name for itself; '' before it asked. */
  instance: string;
}

/** More are forgotten, the oldest first: a mesh of that size rotates by the certificates' end. */
const maxCertificates = 50_000;
const saveEveryMs = 5_000;

/**
 * Which certificates are in use and what their holders trust: what a rotation of roots waits for. Kept in a file, so that a restarted
 * control plane knows whom to wait for.
 */
export class CertificateRegister {
  readonly #file: string | undefined;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #bySerial = new Map<string, OutstandingCertificate>();
  readonly #byInstance = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: { file?: string; clock?: Clock; warn?: (message: string) => void } = {}) {
    this.#file = options.file;
    this.#clock = options.clock ?? systemClock;
    this.#warn = options.warn ?? (() => {});
  }

  /** Reads the last run's certificates; a file that cannot be read counts as absent. */
  async load(): Promise<void> {
    if (this.#file === undefined) return;
    try {
      const stored = JSON.parse(await readFile(this.#file, 'utf8')) as OutstandingCertificate[];
      for (const one of stored) this.#add({ ...one });
    } catch {
      // The next certificate writes it anew.
    }
  }

  /** `replaces`: serial number of the certificate that it was renewed with. */
  issued(certificate: Omit<OutstandingCertificate, 'lastSync' | 'instance'>, replaces?: string): void {
    const before = replaces === undefined ? undefined : this.#bySerial.get(replaces.toUpperCase());
    if (before) this.#remove(before);
    this.#add({
      ...certificate,
      serialNumber: certificate.serialNumber.toUpperCase(),
      lastSync: before?.lastSync ?? 0,
      instance: before?.instance ?? '',
    });
    this.#save();
  }

  /** The holder of a certificate asks for news and says what it trusts. */
  synced(certificate: Omit<OutstandingCertificate, 'lastSync'>): void {
    const serialNumber = certificate.serialNumber.toUpperCase();
    const earlier = this.#byInstance.get(certificate.instance);
    if (earlier !== undefined && earlier !== serialNumber) this.#remove(this.#bySerial.get(earlier));
    this.#remove(this.#bySerial.get(serialNumber));
    this.#add({ ...certificate, serialNumber, lastSync: this.#clock.now() });
    this.#save();
  }

  /** Those in use that are not as `wanted` says. A holder that was heard of once and not for `silentMs` is taken for gone. */
  waiting(
    wanted: (certificate: OutstandingCertificate) => boolean,
    silentMs: number,
  ): OutstandingCertificate[] {
    const now = this.#clock.now();
    const waiting: OutstandingCertificate[] = [];
    for (const one of this.#bySerial.values()) {
      if (one.notAfter <= now) this.#remove(one);
      else if (!wanted(one) && (one.lastSync === 0 || now - one.lastSync < silentMs)) waiting.push(one);
    }
    return waiting;
  }

  /** What is known of a certificate. */
  get(serialNumber: string): OutstandingCertificate | undefined {
    return this.#bySerial.get(serialNumber.toUpperCase());
  }

  /** How many were signed by none of these authorities. */
  countOfOthers(signers: ReadonlySet<string>): number {
    let count = 0;
    for (const { signer = '', notAfter } of this.#bySerial.values())
      if (!signers.has(signer) && notAfter > this.#clock.now()) count++;
    return count;
  }

  /** Certificates that have not ended. */
  get size(): number {
    return this.#bySerial.size;
  }

  /** End of the certificate that ends first, ms since the epoch; undefined without any. */
  earliestEnd(): number | undefined {
    let earliest: number | undefined;
    for (const { notAfter } of this.#bySerial.values())
      if (notAfter > this.#clock.now() && (earliest === undefined || notAfter < earliest))
        earliest = notAfter;
    return earliest;
  }

  /** Resolves when all of it is in the file. */
  async flush(): Promise<void> {
    if (this.#timer) this.#write();
    await this.#saving;
  }

  close(): Promise<void> {
    return this.flush();
  }

  #add(one: OutstandingCertificate): void {
    const [oldest] = this.#bySerial.values();
    if (oldest && this.#bySerial.size >= maxCertificates) this.#remove(oldest);
    this.#bySerial.set(one.serialNumber, one);
    if (one.instance !== '') this.#byInstance.set(one.instance, one.serialNumber);
  }

  #remove(one: OutstandingCertificate | undefined): void {
    if (!one) return;
    this.#bySerial.delete(one.serialNumber);
    if (this.#byInstance.get(one.instance) === one.serialNumber) this.#byInstance.delete(one.instance);
  }

  #save(): void {
    if (this.#file === undefined) return;
    this.#timer ??= setTimeout(() => this.#write(), saveEveryMs).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const file = this.#file as string;
    const text = JSON.stringify([...this.#bySerial.values()]);
    this.#saving = this.#saving.then(() =>
      writeFileAtomic(file, text).catch((error: unknown) =>
        this.#warn(`the register of certificates cannot be kept: ${messageOf(error)}`),
      ),
    );
  }
}
