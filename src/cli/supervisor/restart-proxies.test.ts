import { expect, test } from 'vitest';
import type { Clock } from '../../kit/clock.ts';
import type { ProcessSpec } from './managed-process.ts';
import type { InstancePlan } from './mesh-plan.ts';
import { restartProxies } from './restart-proxies.ts';

/** Nobody waits: sleeping is time that has passed. */
function fastClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  };
}

test('one copy of each service after the other; the next waits until the one before is ready', async () => {
  const events: string[] = [];
  const instance = (service: string, name: string, comesBack = true) => {
    let looked = 0;
    let away = false;
    return {
      plan: { name, service, namespace: 'default' } as InstancePlan,
      get ready() {
        if (!away) return true;
        looked++;
        if (!comesBack || looked < 3) return false;
        away = false;
        events.push(`${name} ready`);
        return true;
      },
      async restartProxy({ name: spec }: ProcessSpec) {
        away = true;
        events.push(`${name} restarts as ${spec}`);
      },
    };
  };
  await restartProxies(
    [instance('a', 'a-0'), instance('a', 'a-1'), instance('b', 'b-0', false), instance('', 'job-0')],
    (plan) => ({ name: `${plan.name}/agent` }) as ProcessSpec,
    new AbortController().signal,
    fastClock(),
  );
  // One that does not come back holds the others up for a while only.
  expect(events).toEqual([
    'a-0 restarts as a-0/agent',
    'b-0 restarts as b-0/agent',
    'job-0 restarts as job-0/agent',
    'a-0 ready',
    'a-1 restarts as a-1/agent',
    'a-1 ready',
  ]);
});
