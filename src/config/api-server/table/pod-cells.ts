import { getAt } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';
import { ageOf } from './age.ts';

function statuses(pod: ConfigObject): unknown[] {
  const list = getAt(pod, 'status', 'containerStatuses');
  return Array.isArray(list) ? list : [];
}

export function podReady(pod: ConfigObject): string {
  const containers = getAt(pod, 'spec', 'containers');
  const ready = statuses(pod).filter((one) => getAt(one, 'ready') === true).length;
  return `${ready}/${Array.isArray(containers) ? containers.length : 0}`;
}

/** What `kubectl get pods` shows: the reason of the first container that does not run, else the phase. */
export function podStatus(pod: ConfigObject): string {
  if (pod.metadata.deletionTimestamp) return 'Terminating';
  const reason = getAt(pod, 'status', 'reason');
  if (typeof reason === 'string' && reason !== '') return reason;
  for (const one of statuses(pod)) {
    const waiting = getAt(one, 'state', 'waiting', 'reason');
    if (typeof waiting === 'string' && waiting !== '') return waiting;
    const ended = getAt(one, 'state', 'terminated', 'reason');
    if (typeof ended === 'string' && ended !== '') return ended;
    const code = getAt(one, 'state', 'terminated', 'exitCode');
    if (code !== undefined) return `ExitCode:${code}`;
  }
  return String(getAt(pod, 'status', 'phase') ?? 'Unknown');
}

export function podRestarts(pod: ConfigObject, now: number): string {
  let restarts = 0;
  let last = '';
  for (const one of statuses(pod)) {
    restarts += Number(getAt(one, 'restartCount') ?? 0);
    const ended = getAt(one, 'lastState', 'terminated', 'finishedAt');
    if (typeof ended === 'string' && ended > last) last = ended;
  }
  return restarts > 0 && last !== '' ? `${restarts} (${ageOf(last, now)} ago)` : String(restarts);
}
