import { syncTrust, type TrustExtras } from '../ca/client.ts';
import type { Clock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { backoffDelay } from '../kit/retry.ts';
import type { AgentConfig } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import type { HeldCertificate } from './identity-store.ts';

export interface TrustFollower {
  readonly config: AgentConfig;
  readonly log: AgentLog;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** undefined: there is no certificate yet to ask with. */
  readonly held: () => HeldCertificate | undefined;
  /** PEM: what the control plane's certificate is checked with. */
  readonly roots: () => Promise<string>;
  readonly trust: (root: string) => Promise<void>;
  /** What is trusted and distrusted beside the roots. */
  readonly extras: () => TrustExtras;
  readonly mind: (extras: TrustExtras) => Promise<void>;
  readonly renew: () => void;
}

/** The first question, and while there is no certificate: within so many ms. */
const soonMs = 1_000;
const longestWaitMs = 5 * 60_000;

/**
 * Asks the control plane again and again whether roots change: it says how soon to ask next. Ends with `signal`, or where the
 * control plane knows no such question (then roots come with each renewal alone).
 */
export async function followTrust(follower: TrustFollower): Promise<void> {
  const { clock, random, signal } = follower;
  let wait = soonMs * random();
  for (let failures = 0; !signal.aborted; ) {
    await clock.sleep(wait, { signal, unref: true });
    const held = signal.aborted ? undefined : follower.held();
    if (!held) {
      wait = soonMs;
      continue;
    }
    try {
      wait = (await ask(follower, held)) * (0.8 + 0.2 * random());
      failures = 0;
    } catch (error) {
      if (error instanceof GrpcError && error.status === grpcStatus.unimplemented) return;
      wait = backoffDelay(failures++, { initialMs: soonMs, maxMs: longestWaitMs, random });
      follower.log.debug(`no news of the mesh's roots: ${messageOf(error)}`);
    }
  }
}

async function ask(
  { config, roots, trust, renew, extras, mind, log }: TrustFollower,
  held: HeldCertificate,
): Promise<number> {
  const answer = await syncTrust({
    address: config.controlPlane.address,
    serverName: config.controlPlane.serverName,
    root: await roots(),
    credential: held,
    trusted: held.root,
    instance: `${config.workload}.${config.namespace}`,
    extras: extras(),
  });
  if (answer.extras) {
    await mind(answer.extras);
    log.info('what the mesh trusts beside its roots changed', {
      trustDomains: answer.extras.domains.map(({ trustDomain }) => trustDomain).join(','),
      revocations: answer.extras.crl !== '',
    });
  }
  if (answer.bundle !== '') {
    await trust(answer.bundle);
    log.info('the roots of the mesh changed');
    // The control plane waits for everybody to have them: it is told at once.
    return 0;
  }
  if (answer.renew) renew();
  return Math.max(50, Math.min(answer.nextMs, longestWaitMs * 2));
}
