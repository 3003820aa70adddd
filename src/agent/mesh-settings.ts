import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../kit/atomic-file.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import { callUnary, GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { openSession } from '../kit/grpc-session.ts';
import { type ProxySettingsRequest, proxySettingsPath } from '../kit/proxy-settings-call.ts';
import { backoffDelay } from '../kit/retry.ts';
import { type AgentConfig, agentFiles, type Configure } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import type { HeldCertificate } from './identity-store.ts';
import type { ProxySettings } from './proxy-settings.ts';

/** Of one try: Envoy waits for it. */
const answerMs = 3_000;
const tries = 3;
const longestAnswer = 1 << 20;

/**
 * The mesh's settings of an agent's proxy: asked for before Envoy is started, and kept for starts at which the control plane does not
 * answer. Settings that the agent cannot use are left out, and said.
 */
export class MeshSettings {
  readonly #configure: Configure;
  readonly #log: AgentLog;
  readonly #clock: Clock;
  /** The file's own. */
  readonly #own: AgentConfig;
  #text: string | undefined;
  /** The configuration with the settings that were last known. */
  config: AgentConfig;

  constructor(configure: Configure, log: AgentLog, clock: Clock = systemClock) {
    this.#configure = configure;
    this.#log = log;
    this.#clock = clock;
    this.#own = configure();
    this.config = this.#own;
    if (this.#own.proxySettings === 'file') return;
    this.#take(readKept(agentFiles(this.#own).proxySettings));
  }

  /** Asks the control plane, at most three times; true: `config` is another one now. Never throws. */
  async ask(certificate: HeldCertificate, roots: string): Promise<boolean> {
    if (this.#own.proxySettings === 'file') return false;
    for (let attempt = 0; attempt < tries; attempt++) {
      try {
        const text = await request(this.#own, certificate, roots);
        if (text === this.#text) return false;
        if (!this.#take(text)) return false;
        await writeFileAtomic(agentFiles(this.#own).proxySettings, text, 0o600);
        return true;
      } catch (error) {
        // A control plane that knows no such question.
        if (error instanceof GrpcError && error.status === grpcStatus.unimplemented) return false;
        const last = attempt === tries - 1;
        if (last || (error instanceof GrpcError && error.status !== grpcStatus.unavailable)) {
          const instead = this.#text === undefined ? 'those of the file alone' : 'those that were last known';
          this.#log.warn(`settings of the mesh are not known; Envoy has ${instead}`, {
            why: messageOf(error),
          });
          return false;
        }
        await this.#clock.sleep(backoffDelay(attempt, { initialMs: 200, maxMs: 1_000 }));
      }
    }
    return false;
  }

  #take(text: string | undefined): boolean {
    if (text === undefined) return false;
    try {
      const settings = JSON.parse(text) as ProxySettings;
      this.config = this.#configure(settings);
      this.#text = text;
      for (const note of settings.notes) this.#log.warn(`settings of the mesh: ${note}`);
      return true;
    } catch (error) {
      this.#log.warn('settings of the mesh are left out', { why: messageOf(error) });
      return false;
    }
  }
}

function readKept(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function request(
  config: AgentConfig,
  { key, certificateChain }: HeldCertificate,
  root: string,
): Promise<string> {
  const { address, serverName } = config.controlPlane;
  const session = await openSession({ address, serverName, root, key, certificateChain }, answerMs);
  try {
    const asked: ProxySettingsRequest = {
      workload: config.workload,
      namespace: config.namespace,
      serviceAccount: config.serviceAccount,
      labels: config.labels,
      proxyType: config.proxyType,
      ...(config.group === undefined ? {} : { group: config.group }),
      metadata: config.metadata,
    };
    const answer = await callUnary(session, proxySettingsPath, Buffer.from(JSON.stringify(asked)), {
      timeoutMs: answerMs,
      maxResponseBytes: longestAnswer,
    });
    return Buffer.from(answer).toString('utf8');
  } finally {
    session.destroy();
  }
}
