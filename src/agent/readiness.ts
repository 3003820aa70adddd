import { messageOf } from '../kit/coded-error.ts';
import type { EnvoyAdmin } from './envoy-admin.ts';

export interface ReadinessInputs {
  admin: EnvoyAdmin;
  /** Why there is no good certificate. */
  certificateProblem(): string | undefined;
  draining(): boolean;
}

/**
 * Undefined: ready. Otherwise why not: the certificate, Envoy's state (0 is LIVE), its workers, or the first configuration. Envoy
 * alone says "live" also when the control plane was never reached.
 */
export async function readinessProblem(inputs: ReadinessInputs): Promise<string | undefined> {
  if (inputs.draining()) return 'draining';
  const certificate = inputs.certificateProblem();
  if (certificate) return `no certificate: ${certificate}`;
  let stats: Map<string, number>;
  try {
    stats = await inputs.admin.stats(
      '^(server\\.state|listener_manager\\.workers_started|(listener_manager\\.lds|cluster_manager\\.cds)\\.update_(success|rejected))$',
    );
  } catch (error) {
    return `Envoy does not answer: ${messageOf(error)}`;
  }
  const state = stats.get('server.state');
  for (const [what, prefix] of [
    ['clusters', 'cluster_manager.cds'],
    ['listeners', 'listener_manager.lds'],
  ]) {
    if (stats.get(`${prefix}.update_success`)) continue;
    return stats.get(`${prefix}.update_rejected`)
      ? `Envoy rejected the ${what} that the control plane sent; see proxy-status, or Envoy's log`
      : `no ${what} from the control plane yet`;
  }
  if (state !== 0) return `Envoy is not live (state ${state ?? 'unknown'})`;
  if (!stats.get('listener_manager.workers_started')) return 'Envoy has not started its workers yet';
  return undefined;
}
