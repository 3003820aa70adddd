import { randomUUID } from 'node:crypto';
import { entryOf, explain } from '../../explain/explain.ts';
import type { Explanation } from '../../explain/explanation.ts';
import { identityFor } from '../../explain/first-hop.ts';
import { identityOf } from '../../explain/hop.ts';
import type { Question } from '../../explain/question.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { Model, ModelWorkload } from '../../model/model.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { joinCalls } from '../../observe/join-calls.ts';
import type { Call, SimulationOptions } from '../../simulate/call.ts';
import { flushMs, whileObserving } from '../calls/observe-proxies.ts';
import { localProxies, type MeshProxies } from '../proxy/mesh-proxies.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { type Comparison, compare, isAnswered } from './live-compare.ts';
import { type Reply, sendCall } from './send-call.ts';

/** What came of the request when it was sent. */
export interface LiveCheck {
  /** `address:port` of the listener that it was sent to. */
  readonly sentTo: string;
  /** `namespace/name` of the workload through whose sidecar it went for the identity that was asked about. */
  readonly through?: string;
  readonly requestId: string;
  readonly reply: Reply;
  readonly comparisons: readonly Comparison[];
  readonly agrees: boolean;
  /** Whether somebody behind the proxies got it. */
  readonly answered: boolean;
  /** Nobody knew before whether it would be. */
  readonly settles: boolean;
}

/**
 * Sends the request through the real proxies of a mesh of this machine and compares what they recorded with what was predicted. Throws
 * `LiveUnavailable` where the caller has no listener on this machine, or proves what cannot be proved here.
 */
export async function checkLive(
  paths: StatePaths,
  model: Model,
  question: Question,
  explanation: Explanation,
  options: SimulationOptions = {},
): Promise<LiveCheck> {
  const { sent, through } = senderOf(model, question, explanation, options);
  const call = callOf(model, sent);
  if (!call)
    throw unavailable(
      `it sends through listeners on this machine, and ${through ?? explanation.question.from} has none for ${question.url}`,
    );
  const requestId = randomUUID();
  // Connections have no method.
  const isBytes = explanation.question.method === undefined;
  const proxies = localProxies(paths);
  await proxies.newCalls();
  const { reply, chain } = await whileObserving(proxies, 100, async () => {
    const reply = await sendCall(call, { id: requestId, isBytes, expected: explanation.verdict.status });
    return { reply, chain: await awaitChain(proxies, explanation, requestId, reply) };
  });
  const comparisons = compare(explanation, reply, chain);
  return {
    sentTo: `${call.address}:${call.port}`,
    ...(through === undefined ? {} : { through }),
    requestId,
    reply,
    comparisons,
    agrees: comparisons.every(({ agrees }) => agrees),
    answered: isAnswered(reply, chain),
    settles: explanation.verdict.outcome === 'unknown',
  };
}

function unavailable(message: string): CodedError {
  return new CodedError('LiveUnavailable', `--live cannot ask this: ${message}`);
}

/** The call as the first proxy gets it from a socket of this machine. */
function callOf(model: Model, question: Question): Call | undefined {
  const entry = entryOf(model, question);
  return entry.ok && entry.call?.mode === 'direct' ? entry.call : undefined;
}

interface Sender {
  readonly sent: Question;
  readonly through?: string;
}

/** Who can send it: the caller itself, or for another identity a workload of this machine that has it. */
function senderOf(
  model: Model,
  question: Question,
  explanation: Explanation,
  options: SimulationOptions,
): Sender {
  if (question.claims !== undefined)
    throw unavailable('claims make no token; give --jwt a file that holds one, signed by its issuer');
  if (question.address !== undefined)
    throw unavailable('every connection comes from an address of this machine; leave out --address');
  const caller = model.workloads.get(explanation.question.from);
  const identity = caller && identityFor(model, caller, question.as);
  if (!caller || question.as === undefined || identity === identityOf(model.mesh.trustDomain, caller)) {
    const { as: _, ...own } = question;
    return { sent: own };
  }
  if (caller.proxy?.type === 'router')
    throw unavailable(
      'a client outside proves itself by a certificate that its gateway trusts, which is not here',
    );
  const all = [...model.workloads.values()].filter(
    (one) => one.proxy?.explicit && one.proxy.type !== 'router',
  );
  const able = all.filter((one) => identityOf(model.mesh.trustDomain, one) === identity);
  if (able.length === 0)
    throw unavailable(
      `no workload of this machine is ${identity}, and nobody else can prove to be; ostria run --service-account starts one`,
    );
  for (const one of able) {
    const sent = asFrom(question, one);
    const answer = explain(model, sent, options);
    if (callOf(model, sent) && answer.ok && isSame(answer.explanation, explanation))
      return { sent, through: one.key };
  }
  throw unavailable(
    `${able.map(({ key }) => key).join(', ')} can prove to be ${identity}, and its sidecar sends such requests elsewhere than that of ${caller.key}; ask --from ${able[0]?.workload.name}`,
  );
}

function asFrom({ as: _, ...question }: Question, { workload }: ModelWorkload): Question {
  return { ...question, from: `${workload.name}.${workload.namespace}` };
}

/** Whether two callers get the same. */
function isSame({ verdict: one }: Explanation, { verdict: other }: Explanation): boolean {
  const key = ({ outcome, status, destinations }: Explanation['verdict']) =>
    JSON.stringify([outcome, status, destinations]);
  return key(one) === key(other);
}

/** On a busy machine proxies write later than they do as a rule: how long they are waited for, ms. */
const recordsMs = 10_000;

/**
 * What the proxies recorded, once there is something of each side that decides; what there is, where it does not come. As long as
 * it is not what was predicted, or may be the beginning of a connection only, there may be more of it to come.
 */
async function awaitChain(
  proxies: MeshProxies,
  explanation: Explanation,
  requestId: string,
  reply: Reply,
): Promise<readonly CallRecord[]> {
  const sides = new Set(explanation.decisions.map(({ at }) => at.role)).size;
  const records: CallRecord[] = [];
  const begun = Date.now();
  for (;;) {
    records.push(...(await proxies.newCalls()));
    const chain = chainOf(records, requestId, reply.client);
    const waited = Date.now() - begun;
    const isSettled =
      waited >= flushMs || (!reply.bytes && compare(explanation, reply, chain).every(({ agrees }) => agrees));
    if ((chain.length >= sides && isSettled) || waited >= recordsMs) return chain;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What the proxies on the way recorded of the call, the caller's first. Bytes have no id: their connection tells. */
function chainOf(
  records: readonly CallRecord[],
  requestId: string,
  client: string | undefined,
): readonly CallRecord[] {
  const calls = joinCalls(records);
  const isOwn = (record: CallRecord | undefined): boolean =>
    record?.requestId === requestId ||
    (client !== undefined &&
      record?.requestId === undefined &&
      (record?.client === client || record?.peer === client));
  const own =
    calls.find(({ records: [first] }) => isOwn(first)) ?? calls.find(({ records: all }) => all.some(isOwn));
  return own?.records ?? [];
}
