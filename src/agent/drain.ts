import { type Clock, systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import { http } from '../kit/node-http.ts';
import type { AgentConfig } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import type { EnvoyAdmin } from './envoy-admin.ts';

const HOOK_TIMEOUT_MS = 10_000;
const SAMPLE_MS = 200;
/** "No request now" is true between two requests as well, so it must hold this often in a row. */
const IDLE_SAMPLES = 3;

/**
 * Ends the traffic of an Envoy without an error: peers forget the endpoint (the hook), listeners send clients away, and requests in
 * flight end. Never rejects, never takes longer than `drain.seconds` after the hook. Envoy runs on.
 */
export async function drainEnvoy(
  config: Pick<AgentConfig, 'drain' | 'proxyType'>,
  admin: EnvoyAdmin,
  log: AgentLog,
  options: { clock?: Clock; signal?: AbortSignal } = {},
): Promise<{ active: number }> {
  const clock = options.clock ?? systemClock;
  const { seconds, minimumSeconds, hookUrl } = config.drain;
  if (hookUrl) await callHook(hookUrl, log);
  const start = clock.now();
  const elapsed = () => (clock.now() - start) / 1000;
  // A sidecar's application still makes calls of its own while its last requests end.
  const scope = config.proxyType === 'sidecar' ? '&inboundonly' : '';
  try {
    const { status, body } = await admin.call(`/drain_listeners?graceful&skip_exit${scope}`, {
      method: 'POST',
    });
    if (status !== 200) log.warn(`Envoy did not start draining: ${body.trim()}`, { status });
  } catch (error) {
    log.warn(`Envoy did not start draining: ${messageOf(error)}`);
    return { active: 0 };
  }
  let active = 0;
  for (let idle = 0; elapsed() < seconds && !options.signal?.aborted; ) {
    await clock.sleep(SAMPLE_MS, options.signal ? { signal: options.signal } : {});
    try {
      active = await activeRequests(admin);
    } catch {
      return { active: 0 };
    }
    idle = active === 0 ? idle + 1 : 0;
    if (idle >= IDLE_SAMPLES && elapsed() >= Math.min(minimumSeconds, seconds)) break;
  }
  if (active > 0) log.warn('the longest drain time is over with requests in flight', { active, seconds });
  else log.info('drained', { seconds: Math.round(elapsed()) });
  return { active };
}

/** Requests that clients wait for now, Envoy's own admin requests left out. */
async function activeRequests(admin: EnvoyAdmin): Promise<number> {
  const stats = await admin.stats('^http\\..*downstream_rq_active$');
  let active = 0;
  for (const [name, value] of stats) if (!name.startsWith('http.admin.')) active += value;
  return active;
}

function callHook(url: string, log: AgentLog): Promise<void> {
  return new Promise((resolve) => {
    // Of the whole answer: one that comes letter by letter would hold up the end for ever.
    const signal = AbortSignal.timeout(HOOK_TIMEOUT_MS);
    const failed = (error: Error) => {
      const why = signal.aborted ? `no answer within ${HOOK_TIMEOUT_MS} ms` : error.message;
      log.warn(`the drain hook ${url} failed: ${why}`);
      resolve();
    };
    try {
      const sent = http.request(url, { method: 'POST', agent: false, signal }, (response) => {
        const status = response.statusCode ?? 0;
        if (status >= 300) log.warn(`the drain hook ${url} answered ${status}`);
        response.resume();
        response.on('error', failed);
        response.on('close', () => resolve());
      });
      sent.on('error', failed);
      sent.end();
    } catch (error) {
      failed(error as Error);
    }
  });
}
