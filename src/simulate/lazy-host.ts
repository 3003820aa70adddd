import type { Call, SimulationResult } from './call.ts';
import { answered } from './walk.ts';

/**
 * What a lazy sidecar makes of a request, by what one that holds everything makes of it: for a host that nobody configured, and that may not be
 * passed through, it is given no virtual host that refuses, but told that there is none.
 */
export function asLazy(result: SimulationResult, call: Call): SimulationResult {
  if (!result.virtualHost?.endsWith('block_all')) return result;
  const { virtualHost: _, route: _r, directResponse: _d, details: _w, ...rest } = result;
  const steps = result.steps.filter(({ stage }) => stage !== 'virtual-host' && stage !== 'route');
  return { ...rest, ...answered(call, 404), steps, error: 'no virtual host matched' };
}
