import { observeKey } from '../../features/telemetry/access-log/call-log.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { pooled } from '../../kit/pooled.ts';
import type { MeshProxies } from '../proxy/mesh-proxies.ts';

const inFlight = 8;
const timeoutMs = 5_000;
/** Proxies write what they recorded once a second: after so long, ms, it can be read unless the machine is busy. */
export const flushMs = 1_500;

/**
 * Has every proxy of a mesh record so many percent of its calls while something lasts, and stops it whatever comes. Resolves with
 * what comes of that. Throws `MeshNotRunning` where no proxy answers.
 */
export async function whileObserving<T>(
  proxies: MeshProxies,
  percent: number,
  lasts: () => Promise<T>,
): Promise<T> {
  const names = await proxies.names();
  const setRuntime = (name: string, value: string) =>
    proxies.ask(name, `/runtime_modify?${observeKey}=${value}`, { method: 'POST', timeoutMs });
  const set = async (value: string): Promise<number> => {
    const answers = await pooled(names, inFlight, (name) =>
      setRuntime(name, value).then(
        () => 1,
        () => 0,
      ),
    );
    return answers.reduce<number>((sum, one) => sum + one, 0);
  };
  try {
    if ((await set(String(percent))) === 0)
      throw new CodedError('MeshNotRunning', 'no proxy of the mesh answers; is it running? (ostria ps)');
    return await lasts();
  } finally {
    // An empty value takes the key away again.
    await set('');
  }
}
