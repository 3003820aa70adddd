import { findCaller } from '../../../explain/caller.ts';
import type { Question } from '../../../explain/question.ts';
import { parseTarget, resolveTarget } from '../../../explain/target.ts';
import type { Model } from '../../../model/model.ts';
import type { Journey } from '../../../request-space/journey.ts';

/** Protocols whose filters take nothing but their own words. */
const ownWords: readonly string[] = ['Mongo', 'Redis', 'Thrift', 'Dubbo', 'ZooKeeper', 'MySQL', 'UDP'];

/** Why a request cannot be sent through real Envoys here; undefined: it can. */
export function skipReason(model: Model, question: Question, journey: Journey): string | undefined {
  const target = parseTarget(question.url);
  const caller = findCaller(model, question.from);
  if (!target.ok || !caller.ok) return 'it cannot be asked about';
  const { at, outside } = caller.value;
  if (question.as !== undefined && !at.proxy) return `${question.from} has no sidecar to prove who it is`;
  if (question.address !== undefined) return 'every connection of a test comes from this machine';
  const { service } = resolveTarget(model, target.value.host, outside ? '' : at.workload.namespace);
  const spoken = service?.ports.find(({ port }) => port === target.value.port)?.protocol;
  if (target.value.scheme !== 'http' && spoken !== undefined && ownWords.includes(spoken))
    return `it speaks ${spoken}, which is not sent`;
  const strange = journey.passed.find(
    ({ hop }) => hop.proxy.type !== 'sidecar' && hop.proxy.type !== 'router',
  );
  if (strange) return `${strange.hop.at.key} is a ${strange.hop.proxy.type}`;
  const asksOutside = journey.passed.some(({ result }) =>
    result.steps.some(({ decision }) => decision?.action === 'CUSTOM' && decision.verdict !== 'observed'),
  );
  if (asksOutside) return 'an external authorizer has a say, and there is none here';
  if (journey.passed.some(({ result }) => (result.fault?.abort?.percent ?? 100) < 100))
    return 'a fault strikes some of the requests only';
  if (journey.leaves.some(({ end, workload }) => end.outcome === 'delivered' && workload === undefined))
    return 'it leaves the mesh, and no test leaves the machine';
  return undefined;
}
