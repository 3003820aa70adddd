import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { callUnary, GrpcError, grpcStatus } from '../../kit/grpc-http2.ts';
import { openSession } from '../../kit/grpc-session.ts';
import { type NamesAnswer, type NamesRequest, namesPath } from '../../kit/names-call.ts';
import type { AgentConfig } from '../agent-config.ts';
import type { AgentLog } from '../agent-log.ts';
import type { HeldCertificate } from '../identity-store.ts';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import { createForwarder } from './forward.ts';
import { type Addresses, NameBook } from './name-book.ts';

const answerMs = 2_000;

/** What the control plane's certificate may come from, and the workload's own. Undefined: there is no certificate yet. */
type Credentials = () => { readonly certificate: HeldCertificate; readonly roots: string } | undefined;

/** Answers the application's DNS queries: names of the mesh as the control plane knows them, others as the machine's name servers do. */
export async function startMeshDns(
  config: AgentConfig,
  credentials: Credentials,
  log: AgentLog,
): Promise<DnsServer> {
  const control = new NamesClient(config, credentials);
  const book = new NameBook({
    ask: (name) => control.ask(name),
    file: join(config.stateDirectory, 'names.json'),
    log,
  });
  const server = await startDnsServer({
    port: config.ports.dns,
    find: (name) => book.find(name),
    forwarder: createForwarder(),
    log,
  });
  log.info('answers DNS', { port: config.ports.dns });
  return {
    async close() {
      await server.close();
      control.close();
      await book.close();
    },
  };
}

/** One connection to the control plane, opened when it is needed and used while it lasts. */
class NamesClient {
  readonly #config: AgentConfig;
  readonly #credentials: Credentials;
  #session: Promise<ClientHttp2Session> | undefined;

  constructor(config: AgentConfig, credentials: Credentials) {
    this.#config = config;
    this.#credentials = credentials;
  }

  /** Rejects where it does not answer. */
  async ask(name: string): Promise<Addresses> {
    const { workload, namespace, serviceAccount } = this.#config;
    const asked: NamesRequest = { workload, namespace, serviceAccount, names: [name] };
    const session = await this.#open();
    const answer = await callUnary(session, namesPath, Buffer.from(JSON.stringify(asked)), {
      timeoutMs: answerMs,
    });
    const { addresses } = JSON.parse(Buffer.from(answer).toString('utf8')) as NamesAnswer;
    return addresses[name] ?? null;
  }

  close(): void {
    void this.#session?.then(
      (session) => session.destroy(),
      () => {},
    );
  }

  #open(): Promise<ClientHttp2Session> {
    if (this.#session) return this.#session;
    const held = this.#credentials();
    if (!held) return Promise.reject(new GrpcError(grpcStatus.unavailable, 'there is no certificate yet'));
    const { key, certificateChain } = held.certificate;
    const { address, serverName } = this.#config.controlPlane;
    const forget = () => {
      if (this.#session === opening) this.#session = undefined;
    };
    const opening = openSession({ address, serverName, root: held.roots, key, certificateChain }, answerMs);
    this.#session = opening;
    opening.then((session) => session.once('close', forget).unref(), forget);
    return opening;
  }
}
