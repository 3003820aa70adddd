import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../kit/clock.ts';
import type { AuthorityMaterial } from './authority-material.ts';
import type { CertificateRegister } from './certificate-register.ts';
import { pemBlocks } from './pem.ts';
import { isRevoked, type RevocationList, readRevocationLists, signerKey } from './revocation.ts';
import type { RevocationStatus } from './ring-status.ts';

const dayMs = 86_400_000;
/** A list with less left than this is warned of, once a day. */
const warnMs = 2 * dayMs;

/**
 * The lists of revoked certificates in force. Envoy refuses every certificate whose authority has no list while there is any: so they
 * are given out once every authority has one that signs, or signed what is still in use.
 */
export class RevocationKeeper {
  readonly #clock: Clock;
  readonly #register: CertificateRegister;
  readonly #warn: (message: string) => void;
  /** By authority. Those of an authority that was replaced stay until they end. */
  readonly #lists = new Map<string, RevocationList>();
  readonly #told = new Map<string, number>();
  #read = '';
  #crl = '';
  #heldBack: string | undefined;

  constructor(options: { clock: Clock; register: CertificateRegister; warn: (message: string) => void }) {
    this.#clock = options.clock;
    this.#register = options.register;
    this.#warn = options.warn;
  }

  /** PEM: what workloads are to mind; '' for nothing. */
  get crl(): string {
    return this.#crl;
  }

  isRevoked(certificate: X509Certificate): boolean {
    return isRevoked([...this.#lists.values()], certificate);
  }

  status(): RevocationStatus | undefined {
    const lists = [...this.#lists.values()];
    if (lists.length === 0) return undefined;
    return {
      revoked: lists.reduce((sum, { revoked }) => sum + revoked.size, 0),
      nextUpdate: new Date(Math.min(...lists.map(({ nextUpdate }) => nextUpdate), 8.64e15)),
      ...(this.#heldBack === undefined ? {} : { heldBack: this.#heldBack }),
    };
  }

  /** Looks at the authorities in force, and at the clock. */
  look(materials: readonly AuthorityMaterial[]): void {
    const text = materials.map(({ crl = '' }) => crl).join('\n');
    const authorities = materials.flatMap(({ root, chain, certificate }) =>
      [root, chain, certificate].flatMap((pem) => pemBlocks(pem)),
    );
    const input = text + authorities.join('');
    if (input !== this.#read) this.#take(text, authorities);
    this.#read = input;
    this.#warnOfEnds();
    const signers = materials.filter(({ certificate }) => certificate !== '');
    this.#heldBack = this.#lists.size === 0 ? undefined : this.#lacking(signers);
    if (this.#heldBack !== undefined)
      this.#tell(`no list of revoked certificates is given out: ${this.#heldBack}`);
    this.#crl = this.#heldBack === undefined ? [...this.#lists.values()].map(({ pem }) => pem).join('') : '';
  }

  #take(text: string, authorities: readonly string[]): void {
    if (text.trim() === '') {
      this.#lists.clear();
      return;
    }
    const { lists, problems } = readRevocationLists(text, authorities, this.#clock.now());
    for (const problem of problems) this.#tell(`ca-crl.pem: ${problem}`);
    for (const list of lists) this.#lists.set(list.signer, list);
  }

  /** A list that has ended has every certificate of its authority refused, as X.509 wants it. */
  #warnOfEnds(): void {
    for (const { nextUpdate, issuer } of this.#lists.values())
      if (nextUpdate - this.#clock.now() < warnMs)
        this.#tell(
          `the list of revoked certificates of ${issuer} ends on ${new Date(nextUpdate).toISOString()}: from then on Envoy refuses every certificate of it; publish a new one in ca-crl.pem`,
        );
  }

  #lacking(signers: readonly AuthorityMaterial[]): string | undefined {
    const without = signers.find(({ certificate }) => !this.#lists.has(signerKey(certificate)));
    if (without) return 'the authority that signs has none; give one of each authority in ca-crl.pem';
    const others = this.#register.countOfOthers(new Set(this.#lists.keys()));
    return others > 0
      ? `${others} certificates in use are of an authority without a list; they go by renewal`
      : undefined;
  }

  #tell(message: string): void {
    const now = this.#clock.now();
    if (now - (this.#told.get(message) ?? Number.NEGATIVE_INFINITY) < dayMs) return;
    if (this.#told.size > 100) this.#told.clear();
    this.#told.set(message, now);
    this.#warn(message);
  }
}
