import { type ClientHttp2Session, connect } from 'node:http2';
import { messageOf } from '../kit/coded-error.ts';
import {
  LineReader,
  type RegistrationClaim,
  type RegistrationReport,
  registrationPath,
  toLine,
  type WorkloadProbe,
} from '../kit/registration.ts';
import { backoffDelay } from '../kit/retry.ts';
import type { AgentConfig } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import type { HeldCertificate } from './identity-store.ts';
import { probeOnce } from './probe.ts';

export interface Registration {
  /** Says good-bye: the entry goes at once. Without it, it goes after a grace. */
  end(): void;
}

const loopback = '127.0.0.1';
/** The control plane pings more often, ms: one that is silent for so long is gone, though nobody closed the connection. */
const silentMs = 120_000;

/** Keeps a workload that names a WorkloadGroup registered, and reports what the group's probe finds. Tries again for ever. */
export function keepRegistered(
  config: AgentConfig & { group: string },
  current: () => HeldCertificate | undefined,
  log: AgentLog,
): Registration {
  const state = { ended: false, attempt: 0, session: undefined as ClientHttp2Session | undefined };
  let timer: NodeJS.Timeout | undefined;
  let send: ((report: RegistrationReport) => void) | undefined;
  let bye: (() => void) | undefined;
  let prober: Prober | undefined;
  const again = (why: string): void => {
    prober?.stop();
    send = undefined;
    bye = undefined;
    state.session?.destroy();
    if (state.ended) return;
    if (state.attempt === 0) log.warn('not registered', { group: config.group, why });
    timer = setTimeout(start, backoffDelay(state.attempt++, { initialMs: 200, maxMs: 5_000 }));
  };
  const start = (): void => {
    const certificate = current();
    if (!certificate) {
      again('there is no certificate yet');
      return;
    }
    const session = connect(`https://${config.controlPlane.address}`, {
      ca: certificate.root,
      key: certificate.key,
      cert: certificate.certificateChain,
      servername: config.controlPlane.serverName,
      minVersion: 'TLSv1.2',
    });
    state.session = session;
    let over = false;
    const lost = (why: string): void => {
      if (over) return;
      over = true;
      again(why);
    };
    session.once('error', (error) => lost(error.message));
    session.once('close', () => lost('the connection was closed'));
    session.setTimeout(silentMs, () =>
      lost(`nothing was heard of the control plane for ${silentMs / 1_000} s`),
    );
    const stream = session.request({ ':method': 'POST', ':path': registrationPath });
    const lines = new LineReader();
    const readLines = (chunk: Buffer): Record<string, unknown>[] => {
      try {
        return lines.push(chunk);
      } catch (error) {
        lost(messageOf(error));
        return [];
      }
    };
    stream.on('error', (error) => lost(error.message));
    stream.on('response', ({ ':status': status }) => {
      if (status !== 200) lost(`the control plane answers ${status}`);
    });
    stream.on('data', (chunk: Buffer) => {
      for (const line of readLines(chunk)) {
        if (typeof line.refused === 'string') lost(line.refused);
        if (typeof line.registered !== 'string') continue;
        log.info('registered', { group: config.group, entry: line.registered });
        state.attempt = 0;
        send = (report) => stream.write(toLine(report));
        bye = () => stream.end(toLine({ leaving: true }));
        if (line.probe) prober = startProber(line.probe as WorkloadProbe, config, (report) => send?.(report));
      }
    });
    stream.on('end', () => lost('the control plane ended the call'));
    stream.write(toLine(claimOf(config)));
  };
  start();
  return {
    end() {
      state.ended = true;
      clearTimeout(timer);
      prober?.stop();
      bye?.();
      // What was written goes out before the session ends.
      state.session?.close();
      setTimeout(() => state.session?.destroy(), 500).unref();
    },
  };
}

function claimOf(config: AgentConfig & { group: string }): RegistrationClaim {
  const { region = '', zone = '', subZone = '' } = config.locality;
  const locality = [region, zone, subZone].filter((part) => part !== '').join('/');
  return {
    workload: config.workload,
    namespace: config.namespace,
    serviceAccount: config.serviceAccount,
    group: config.group,
    address: config.addresses[0] ?? loopback,
    labels: config.labels,
    ...(config.network === '' ? {} : { network: config.network }),
    ...(locality === '' ? {} : { locality }),
    ports: Object.fromEntries(
      (config.capture?.inbound ?? []).map(({ servicePort, listen }) => [String(servicePort), listen]),
    ),
  };
}

interface Prober {
  stop(): void;
}

/** Asks in the probe's rhythm; tells what turns, when it has turned often enough. Nothing is told before the first answer. */
function startProber(
  probe: WorkloadProbe,
  config: AgentConfig,
  tell: (report: { healthy: boolean; message?: string }) => void,
): Prober {
  const inbound = config.capture?.inbound ?? [];
  const portOf = (port: number): number =>
    inbound.find(({ servicePort }) => servicePort === port)?.app ?? port;
  const host = config.capture && config.addresses[0]?.includes(':') ? '::1' : loopback;
  let told: boolean | undefined;
  let inRow = 0;
  let last: boolean | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const round = async (): Promise<void> => {
    const why = await probeOnce(probe, portOf, host);
    if (stopped) return;
    const healthy = why === undefined;
    inRow = healthy === last ? inRow + 1 : 1;
    last = healthy;
    const enough = healthy ? probe.successThreshold || 1 : probe.failureThreshold || 3;
    if (healthy !== told && inRow >= enough) {
      told = healthy;
      tell(healthy ? { healthy } : { healthy, message: why });
    }
    timer = setTimeout(() => void round(), (probe.periodSeconds || 10) * 1_000);
  };
  timer = setTimeout(() => void round(), (probe.initialDelaySeconds || 0) * 1_000);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
