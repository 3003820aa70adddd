import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Instance } from './instance.ts';
import type { ProcessSpec } from './managed-process.ts';
import type { InstancePlan } from './mesh-plan.ts';

/** So long the next copies wait for those before them. */
const patienceMs = 15_000;
const lookMs = 100;

/** Has proxies start anew: one copy of each workload after the other, so that a workload of several copies keeps answering. */
export async function restartProxies(
  instances: readonly Pick<Instance, 'plan' | 'ready' | 'restartProxy'>[],
  specOf: (plan: InstancePlan) => ProcessSpec,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  for (const turn of inTurns(instances)) {
    if (signal.aborted) return;
    const began = clock.now();
    const wereReady = turn.filter(({ ready }) => ready);
    await Promise.all(turn.map((instance) => instance.restartProxy(specOf(instance.plan))));
    while (!wereReady.every(({ ready }) => ready) && clock.now() - began < patienceMs && !signal.aborted)
      await clock.sleep(lookMs, { signal });
  }
}

/** The first copies of all services, then the second ones, and so on. */
function inTurns<One extends { readonly plan: InstancePlan }>(instances: readonly One[]): One[][] {
  const turns: One[][] = [];
  const counts = new Map<string, number>();
  for (const instance of instances) {
    const { namespace, service, name } = instance.plan;
    const key = `${namespace}/${service === '' ? name : service}`;
    const turn = counts.get(key) ?? 0;
    counts.set(key, turn + 1);
    const list = turns[turn] ?? [];
    turns[turn] = [...list, instance];
  }
  return turns;
}
