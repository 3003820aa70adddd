import { createPublicKey, X509Certificate } from 'node:crypto';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { retry } from '../../kit/retry.ts';
import type { CertificateAuthority, CertificateTemplate, IssuedCertificate } from '../authority.ts';
import { pemBlocks } from '../pem.ts';
import { type ExternalSigner, signerRefused } from './signer.ts';

export interface ExternalAuthorityOptions {
  readonly signer: ExternalSigner;
  /** Default lifetime of certificates, in ms. Default 24 h. */
  readonly defaultTtlMs?: number;
  /** Tries per certificate, the first included. Default 3. */
  readonly attempts?: number;
  /** All tries of one certificate together, in ms. Default 25,000: an agent waits 30 s. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  readonly warn?: (message: string) => void;
  readonly info?: (message: string) => void;
}

export interface ExternalStatus {
  readonly name: string;
  readonly issued: number;
  readonly failed: number;
  readonly lastIssued?: Date;
  /** Why the last request failed; absent when it did not. */
  readonly problem?: string;
  readonly problemSince?: Date;
}

const dayMs = 86_400_000;
const maxChain = 10;
/** Clocks may differ by this. */
const skewMs = 5 * 60_000;

/** The registration authority: identities are proved here, and certificates are signed elsewhere. */
export class ExternalAuthority {
  readonly #options: ExternalAuthorityOptions;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #issued = 0;
  #failed = 0;
  #lastIssued: number | undefined;
  #problem: { readonly text: string; readonly since: number } | undefined;

  constructor(options: ExternalAuthorityOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** The authority as far as certificates under `roots` (PEM) go. */
  under(roots: string): CertificateAuthority {
    const ends = pemBlocks(roots).map((pem) => new X509Certificate(pem).validToDate.getTime());
    return {
      root: roots,
      intermediates: '',
      external: true,
      notAfter: new Date(Math.min(...ends)),
      issue: (template) => this.#issue(template, roots),
    };
  }

  status(): ExternalStatus {
    return {
      name: this.#options.signer.name,
      issued: this.#issued,
      failed: this.#failed,
      ...(this.#lastIssued === undefined ? {} : { lastIssued: new Date(this.#lastIssued) }),
      ...(this.#problem ? { problem: this.#problem.text, problemSince: new Date(this.#problem.since) } : {}),
    };
  }

  close(): void {
    this.#closing.abort();
    this.#options.signer.close?.();
  }

  async #issue(template: CertificateTemplate, roots: string): Promise<IssuedCertificate> {
    const [identity] = template.uris ?? [];
    if (template.csr === undefined || identity === undefined)
      throw new CodedError('SignerRefused', 'an external authority signs requests of workloads alone');
    const { csr, ttlMs = this.#options.defaultTtlMs ?? dayMs } = template;
    try {
      const issued = await this.#askUntil((signal) =>
        this.#options.signer
          .sign({ csr, identity, ttlMs: ttlMs || dayMs, signal })
          .then((chain) =>
            checkChain(chain, { publicKey: template.publicKey, identity, roots, now: this.#clock.now() }),
          ),
      );
      this.#succeeded();
      return issued;
    } catch (error) {
      this.#fail(messageOf(error));
      throw error;
    }
  }

  #askUntil<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { attempts = 3, deadlineMs = 25_000 } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(deadlineMs)]);
    return retry(() => ask(signal), {
      attempts,
      deadlineMs,
      initialMs: 200,
      maxMs: 3_000,
      signal,
      clock: this.#clock,
      retryable: (error) => !(error instanceof CodedError && error.code === 'SignerRefused'),
    });
  }

  #succeeded(): void {
    if (this.#problem) this.#options.info?.(`${this.#options.signer.name} signs again`);
    this.#problem = undefined;
    this.#issued++;
    this.#lastIssued = this.#clock.now();
  }

  #fail(text: string): void {
    this.#failed++;
    if (this.#problem?.text !== text)
      this.#options.warn?.(
        `${this.#options.signer.name} gives no certificate: ${text}; workloads keep theirs and try again`,
      );
    this.#problem = { text, since: this.#problem?.since ?? this.#clock.now() };
  }
}

/** Takes nothing on trust: the certificate must be for this key, this identity alone, and come from the mesh's roots. */
function checkChain(
  chain: string,
  wanted: { publicKey: Uint8Array; identity: string; roots: string; now: number },
): IssuedCertificate {
  const certificates = parseChain(chain);
  const [leaf] = certificates;
  if (!leaf) throw signerRefused('the answer holds no certificate');
  const key = createPublicKey({ key: Buffer.from(wanted.publicKey), format: 'der', type: 'spki' });
  if (!leaf.publicKey.equals(key)) throw signerRefused('the certificate is for another key');
  if (leaf.subjectAltName !== `URI:${wanted.identity}`)
    throw signerRefused(
      `the certificate is for ${leaf.subjectAltName ?? 'nobody'}, not for ${wanted.identity} alone`,
    );
  if (leaf.ca) throw signerRefused('the certificate could sign others');
  if (leaf.validToDate.getTime() <= wanted.now || leaf.validFromDate.getTime() > wanted.now + skewMs)
    throw signerRefused(
      `the certificate is good from ${leaf.validFromDate.toISOString()} to ${leaf.validToDate.toISOString()}, not now`,
    );
  const intermediates = pathToRoot(leaf, certificates, wanted.roots);
  return {
    certificate: leaf.toString(),
    intermediates: intermediates.map((one) => one.toString()).join(''),
    root: wanted.roots,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    serialNumber: leaf.serialNumber,
  };
}

function parseChain(chain: string): X509Certificate[] {
  const blocks = pemBlocks(chain);
  if (blocks.length > maxChain) throw signerRefused(`the answer holds more than ${maxChain} certificates`);
  try {
    return blocks.map((pem) => new X509Certificate(pem));
  } catch {
    throw signerRefused('the answer holds what is no certificate');
  }
}

/** The issuers between the certificate and a root, in order. */
function pathToRoot(
  leaf: X509Certificate,
  pool: readonly X509Certificate[],
  roots: string,
): X509Certificate[] {
  const trusted = pemBlocks(roots).map((pem) => new X509Certificate(pem));
  const path: X509Certificate[] = [];
  for (let at = leaf; path.length < maxChain; ) {
    if (trusted.some((root) => isIssuer(root, at))) return path;
    const next = pool.find((one) => one.ca && isIssuer(one, at) && one.fingerprint256 !== at.fingerprint256);
    if (!next || path.includes(next)) break;
    path.push(next);
    at = next;
  }
  throw signerRefused('the certificate does not come from the roots of rootFile');
}

function isIssuer(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}
