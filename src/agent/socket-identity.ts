import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { formatSpiffeId, noExtras, pemBlocks } from '../ca/client.ts';
import { messageOf } from '../kit/coded-error.ts';
import { encodeFrame, FrameReader } from '../kit/grpc-http2.ts';
import { backoffDelay } from '../kit/retry.ts';
import type { AgentConfig } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import type { CertificateListener } from './certificate-keeper.ts';
import type { HeldCertificate } from './identity-store.ts';
import { decodeSecrets, encodeSecretsRequest } from './sds-messages.ts';

const method = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
/** Name by which the workload's own certificate is asked for, as Istio's and SPIRE's agents have it. */
const ownSecret = 'default';
const maxResponse = 1 << 20;
/** A certificate that ends within this is as good as none. */
const marginMs = 2_000;

/**
 * The workload's certificate where somebody else keeps it: a SPIRE agent, or whoever serves SDS at a unix socket. Envoy asks there
 * itself; we listen too, to know the certificate for readiness, metrics and calls of our own.
 */
export class SocketIdentity {
  readonly identity: string;
  readonly #config: AgentConfig;
  readonly #socket: string;
  readonly #log: AgentLog;
  readonly #listeners = new Set<CertificateListener>();
  #current: HeldCertificate | undefined;
  #problem: string;
  #session: ClientHttp2Session | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #stopped = false;

  constructor(config: AgentConfig & { identitySocket: string }, log: AgentLog) {
    this.#config = config;
    this.#socket = config.identitySocket;
    this.#log = log;
    this.#problem = `${this.#socket} has given none yet`;
    this.identity = formatSpiffeId(config);
  }

  get current(): HeldCertificate | undefined {
    return this.#current;
  }

  get problem(): string | undefined {
    const good = this.#current && this.#current.notAfter.getTime() > Date.now() + marginMs;
    return good && this.#problem === '' ? undefined : this.#problem || 'it has ended';
  }

  onChange(listener: CertificateListener): void {
    this.#listeners.add(listener);
  }

  async start(): Promise<void> {
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#session?.destroy();
  }

  #open(): void {
    if (this.#stopped) return;
    const session = connect('http://sds', { createConnection: () => connectSocket(this.#socket) });
    this.#session = session;
    let over = false;
    const lost = (why: string): void => {
      if (over) return;
      over = true;
      session.destroy();
      this.#again(why);
    };
    session.on('error', (error) => lost(error.message));
    session.on('close', () => lost('the connection was closed'));
    const stream = session.request({
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const reader = new FrameReader(maxResponse);
    const node = `${this.#config.proxyType}~${this.#config.workload}.${this.#config.namespace}`;
    let work = Promise.resolve();
    stream.on('error', (error) => lost(error.message));
    stream.on('trailers', (headers) =>
      lost(String(headers['grpc-message'] ?? `status ${headers['grpc-status']}`)),
    );
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) {
          const { secrets, version, nonce } = decodeSecrets(message);
          const own = secrets.find(({ name }) => name === ownSecret);
          if (own) work = work.then(() => this.#take(own.certificateChain, own.key));
          stream.write(encodeFrame(encodeSecretsRequest({ node: '', names: [ownSecret], version, nonce })));
        }
      } catch (error) {
        lost(messageOf(error));
      }
    });
    stream.write(encodeFrame(encodeSecretsRequest({ node, names: [ownSecret], version: '', nonce: '' })));
  }

  #again(why: string): void {
    if (this.#stopped) return;
    // Envoy goes on with what it has, and so do we.
    if (this.#failures === 0)
      this.#log.warn(`the identity socket does not answer: ${why}`, { socket: this.#socket });
    if (!this.#current) this.#problem = `${this.#socket}: ${why}`;
    const delay = backoffDelay(this.#failures++, { initialMs: 200, maxMs: 10_000 });
    this.#timer = setTimeout(() => this.#open(), delay);
  }

  async #take(chain: string, key: string): Promise<void> {
    this.#failures = 0;
    try {
      const [leaf = ''] = pemBlocks(chain);
      const certificate = new X509Certificate(leaf);
      if (certificate.subjectAltName !== `URI:${this.identity}`) {
        this.#problem = `${this.#socket} gives a certificate for ${certificate.subjectAltName ?? 'nobody'}, expected ${this.identity}`;
        this.#log.error(this.#problem);
        return;
      }
      const controlPlaneRoots = await readFile(this.#config.controlPlane.rootFile, 'utf8');
      this.#current = {
        key,
        certificateChain: chain,
        root: controlPlaneRoots,
        notBefore: certificate.validFromDate,
        notAfter: certificate.validToDate,
        obtainedAt: Date.now(),
      };
      this.#problem = '';
      this.#log.info('certificate in use', {
        identity: this.identity,
        from: this.#socket,
        notAfter: certificate.validToDate.toISOString(),
      });
      for (const listener of this.#listeners)
        listener(this.#current, { controlPlaneRoots, extras: noExtras });
    } catch (error) {
      this.#problem = `${this.#socket}: ${messageOf(error)}`;
    }
  }
}
