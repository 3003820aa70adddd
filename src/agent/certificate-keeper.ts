import { readFile } from 'node:fs/promises';
import {
  formatSpiffeId,
  isOfType,
  noExtras,
  pemBlocks,
  requestCertificate,
  type TrustExtras,
} from '../ca/client.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { backoffDelay } from '../kit/retry.ts';
import { type AgentConfig, agentFiles } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import { followTrust } from './follow-trust.ts';
import {
  type HeldCertificate,
  loadExtras,
  loadIdentity,
  saveExtras,
  saveIdentity,
} from './identity-store.ts';

export interface CertificateKeeperOptions {
  /** Called once when there is no good certificate and the join token is used up or missing: only a new one helps. */
  onCredentialLost?: () => void;
  clock?: Clock;
  random?: () => number;
}

/** So often the token must have been refused in a row before it counts as lost: its file may be about to be written. */
const LOST_AFTER = 3;

export interface HeldTrust {
  /** PEM of what the control plane's own certificate may come from; it may have an authority of its own. */
  readonly controlPlaneRoots: string;
  readonly extras: TrustExtras;
}

export type CertificateListener = (certificate: HeldCertificate, trust: HeldTrust) => void;

type Credential = { token: string } | { key: string; certificateChain: string };

/** No TLS handshake is begun with a certificate that ends within this. */
const USABLE_MARGIN_MS = 2_000;

/**
 * Holds the workload's certificate: takes over what an earlier agent left, or gets one; renews it at half life; keeps the old one
 * when that fails, and tries on. `onChange` is told of each new one.
 */
export class CertificateKeeper {
  readonly identity: string;
  readonly #config: AgentConfig;
  readonly #log: AgentLog;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<CertificateListener>();
  #current: HeldCertificate | undefined;
  #extras: TrustExtras = noExtras;
  #problem = 'no certificate was asked for yet';
  /** Aborted when a new certificate is wanted before its time. */
  #wanted = new AbortController();

  readonly #onCredentialLost: () => void;
  #refused = 0;

  constructor(config: AgentConfig, log: AgentLog, options: CertificateKeeperOptions = {}) {
    this.#config = config;
    this.#log = log;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#onCredentialLost = options.onCredentialLost ?? (() => {});
    this.identity = formatSpiffeId(config);
  }

  /** The certificate in use, ended or not: serving an ended one is no worse than none, and peers decide. */
  get current(): HeldCertificate | undefined {
    return this.#current;
  }

  /** Why there is no good certificate; undefined when there is one. */
  get problem(): string | undefined {
    return this.#usable() ? undefined : this.#problem;
  }

  onChange(listener: CertificateListener): void {
    this.#listeners.add(listener);
  }

  /** Runs until `stop`. Resolves at once; the first certificate is announced like every other. */
  async start(): Promise<void> {
    this.#extras = await loadExtras(agentFiles(this.#config).extras);
    const found = await loadIdentity(agentFiles(this.#config), this.identity, this.#clock.now());
    if (found && 'problem' in found) this.#log.warn(`the stored certificate is not used: ${found.problem}`);
    else if (found)
      await this.#use(isOfType(found.key, this.#config.certificate.keyType) ? found : dueAtOnce(found));
    void this.#run();
    void followTrust({
      config: this.#config,
      log: this.#log,
      clock: this.#clock,
      random: this.#random,
      signal: this.#stop.signal,
      held: () => (this.#usable() ? this.#current : undefined),
      roots: () => this.#roots(),
      trust: (root) => this.#trust(root),
      extras: () => this.#extras,
      mind: (extras) => this.#mind(extras),
      renew: () => this.#wanted.abort(),
    });
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; ) {
      const due = this.#renewalDue();
      const wait = attempt === 0 ? Math.max(0, due - this.#clock.now()) : this.#retryDelay(attempt - 1);
      await this.#clock.sleep(wait, { signal: AbortSignal.any([signal, this.#wanted.signal]) });
      if (signal.aborted) return;
      this.#wanted = new AbortController();
      try {
        await this.#obtain();
        attempt = 0;
      } catch (error) {
        attempt++;
        this.#problem = messageOf(error);
        this.#report(attempt);
        this.#countRefusals(error);
        // The authority is there again: what was learnt of its absence no longer counts.
        if (this.#refused === 1) attempt = 1;
      }
    }
  }

  /** Half of the life that was left when it was obtained, give or take a tenth, so that a fleet does not renew at once. */
  #renewalDue(): number {
    if (!this.#current) return 0;
    const { ttlSeconds } = this.#config.certificate;
    // One that was got when a longer life was wanted is not kept for that.
    const life = Math.min(this.#current.notAfter.getTime() - this.#current.obtainedAt, ttlSeconds * 1000);
    return this.#current.obtainedAt + life * (0.5 + (this.#random() - 0.5) * 0.1);
  }

  #retryDelay(attempt: number): number {
    const left = this.#current ? this.#current.notAfter.getTime() - this.#clock.now() : 0;
    // Near the end there is no point in waiting longer than what is left allows several more tries for.
    const maxMs = left > 0 ? Math.min(60_000, Math.max(1_000, left / 4)) : 10_000;
    return backoffDelay(attempt, { initialMs: 500, maxMs, random: this.#random });
  }

  async #obtain(): Promise<void> {
    let failure: unknown;
    for (const credential of await this.#credentials()) {
      try {
        const certificate = await requestCertificate({
          address: this.#config.controlPlane.address,
          serverName: this.#config.controlPlane.serverName,
          root: await this.#roots(),
          credential,
          identity: this.identity,
          ...this.#config.certificate,
        });
        await saveIdentity(agentFiles(this.#config), certificate);
        await this.#use({ ...certificate, obtainedAt: this.#clock.now() });
        return;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }

  /** What may prove who we are, the best first: the present certificate, then tokens. */
  async #credentials(): Promise<Credential[]> {
    const credentials: Credential[] = [];
    if (this.#current && this.#usable()) credentials.push(this.#current);
    const { serviceAccountTokenFile, joinTokenFile } = this.#config.credential;
    for (const file of [serviceAccountTokenFile, joinTokenFile]) {
      const token = file ? (await readFile(file, 'utf8').catch(() => '')).trim() : '';
      if (token) credentials.push({ token });
    }
    if (credentials.length === 0)
      throw new CodedError(
        'NoCredential',
        `${this.identity} has neither a good certificate nor a token (looked for ${[serviceAccountTokenFile, joinTokenFile].filter(Boolean).join(', ') || 'none'}); start the workload again, which mints a join token`,
      );
    return credentials;
  }

  /** The configured root and the one the authority sent last: between the two a root may be replaced. */
  async #roots(): Promise<string> {
    const file = this.#config.controlPlane.rootFile;
    const given = await readFile(file, 'utf8').catch((error) => {
      if (this.#current) return '';
      throw new CodedError('RootUnreadable', `cannot read the mesh root ${file}: ${messageOf(error)}`);
    });
    const roots = [...pemBlocks(given), ...pemBlocks(this.#current?.root ?? '')];
    if (roots.length === 0) throw new CodedError('RootUnreadable', `${file} holds no PEM certificate`);
    return [...new Set(roots)].join('');
  }

  /** Other roots with the same certificate. */
  async #trust(root: string): Promise<void> {
    if (!this.#current) return;
    const certificate = { ...this.#current, root };
    await saveIdentity(agentFiles(this.#config), certificate);
    await this.#use(certificate);
  }

  async #mind(extras: TrustExtras): Promise<void> {
    await saveExtras(agentFiles(this.#config).extras, extras);
    this.#extras = extras;
    if (this.#current) await this.#announce(this.#current);
  }

  #countRefusals(error: unknown): void {
    const refused =
      (error instanceof GrpcError && error.status === grpcStatus.unauthenticated) ||
      (error instanceof CodedError && error.code === 'NoCredential');
    this.#refused = refused && !this.#usable() ? this.#refused + 1 : 0;
    const { joinTokenFile, serviceAccountTokenFile } = this.#config.credential;
    // A platform's token is rotated in its file; a join token comes only with a new start.
    if (this.#refused === LOST_AFTER && joinTokenFile && !serviceAccountTokenFile) this.#onCredentialLost();
  }

  async #use(certificate: HeldCertificate): Promise<void> {
    this.#refused = 0;
    this.#current = certificate;
    this.#log.info('certificate in use', {
      identity: this.identity,
      notAfter: certificate.notAfter.toISOString(),
    });
    await this.#announce(certificate);
  }

  async #announce(certificate: HeldCertificate): Promise<void> {
    const trust = { controlPlaneRoots: await this.#roots(), extras: this.#extras };
    for (const listener of this.#listeners) listener(certificate, trust);
  }

  #usable(): boolean {
    return (
      this.#current !== undefined && this.#current.notAfter.getTime() > this.#clock.now() + USABLE_MARGIN_MS
    );
  }

  #report(attempt: number): void {
    if (!this.#current) {
      this.#log.warn(`no certificate yet: ${this.#problem}`, { attempt });
      return;
    }
    const left = this.#current.notAfter.getTime() - this.#clock.now();
    const life = this.#current.notAfter.getTime() - this.#current.obtainedAt;
    const fields = { attempt, notAfter: this.#current.notAfter.toISOString() };
    if (left <= 0) this.#log.error(`the certificate has ended and was not renewed: ${this.#problem}`, fields);
    else if (left < life / 4)
      this.#log.error(`the certificate ends soon and was not renewed: ${this.#problem}`, fields);
    else this.#log.warn(`the certificate was not renewed: ${this.#problem}`, fields);
  }
}

/** It serves until there is another. */
function dueAtOnce(certificate: HeldCertificate): HeldCertificate {
  return { ...certificate, obtainedAt: 0 };
}
