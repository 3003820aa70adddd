import { randomUUID } from 'node:crypto';
import { originId, parseOriginId } from '../../config/origin.ts';
import { entryOf } from '../../explain/explain.ts';
import type { DecidedBy, Explanation } from '../../explain/explanation.ts';
import type { Question } from '../../explain/question.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { Model } from '../../model/model.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { answeredByApplication, joinCalls } from '../../observe/join-calls.ts';
import { policyOrigin } from '../../simulate/policy-names.ts';
import { whileObserving } from '../calls/observe-proxies.ts';
import { localProxies } from '../proxy/mesh-proxies.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { type Reply, sendCall } from './send-call.ts';

/** One thing that was predicted, and what it was in earnest. */
export interface Comparison {
  readonly what: 'answer' | 'status' | 'route' | 'destination' | 'policy';
  readonly predicted: string;
  readonly real: string;
  readonly agrees: boolean;
}

/** What came of the request when it was sent. */
export interface LiveCheck {
  /** `address:port` of the listener that it was sent to. */
  readonly sentTo: string;
  readonly requestId: string;
  readonly reply: Reply;
  readonly comparisons: readonly Comparison[];
  readonly agrees: boolean;
}

/**
 * Sends the request through the real proxies of a mesh of this machine and compares what they recorded with what was predicted. Throws
 * `LiveUnavailable` where the caller has no listener on this machine.
 */
export async function checkLive(
  paths: StatePaths,
  model: Model,
  question: Question,
  explanation: Explanation,
): Promise<LiveCheck> {
  const entry = entryOf(model, question);
  const call = entry.ok ? entry.call : undefined;
  if (call?.mode !== 'direct')
    throw new CodedError(
      'LiveUnavailable',
      `--live sends through listeners on this machine, and ${explanation.question.from} has none for it`,
    );
  if (question.as !== undefined || question.claims !== undefined || question.address !== undefined)
    throw new CodedError(
      'LiveUnavailable',
      '--live sends as the workload itself: --as, --address and claims without a token cannot be sent',
    );
  const requestId = randomUUID();
  const proxies = localProxies(paths);
  await proxies.newCalls();
  let reply: Reply = {};
  await whileObserving(proxies, 100, async () => {
    reply = await sendCall(call, requestId);
  });
  const records = await proxies.newCalls();
  const comparisons = compare(explanation, reply, chainOf(records, requestId));
  return {
    sentTo: `${call.address}:${call.port}`,
    requestId,
    reply,
    comparisons,
    agrees: comparisons.every(({ agrees }) => agrees),
  };
}

/** What the proxies on the way recorded of the call, the caller's first. Bytes have no id: then the last call of all is meant. */
function chainOf(records: readonly CallRecord[], requestId: string): readonly CallRecord[] {
  const calls = joinCalls(records);
  const own =
    calls.find(({ records: [first] }) => first?.requestId === requestId) ??
    calls.find(({ records: all }) => all.some((record) => record.requestId === requestId));
  return own?.records ?? [];
}

/** What was predicted beside what came back and what the proxies recorded, the caller's first. */
export function compare(
  { verdict, decisions }: Explanation,
  reply: Reply,
  records: readonly CallRecord[],
): Comparison[] {
  const found: Comparison[] = [];
  const add = (what: Comparison['what'], predicted: string, real: string, agrees: boolean): void => {
    found.push({ what, predicted, real, agrees });
  };
  const status = reply.status === undefined ? (reply.error ?? 'none') : String(reply.status);
  const possible = statusesOf(verdict);
  if (verdict.outcome === 'delivered') {
    const own = records.some(answeredByApplication) || records.length === 0;
    add(
      'answer',
      'by the application',
      `${status}${own ? ', by the application' : ', by a proxy'}`,
      own && reply.error === undefined,
    );
  } else
    add(
      'status',
      possible.join(' or ') || 'none',
      status,
      possible.includes(status) || possible.length === 0,
    );
  const [first] = records;
  const routes = decisions.filter(({ stage, by }) => stage === 'route' && by).flatMap(({ by }) => by ?? []);
  if (first?.route !== undefined && routes[0])
    add('route', originWords(routes[0]), originText(first.route), originId(routes[0]) === first.route);
  const reached = first?.upstreamHost;
  const addresses = verdict.destinations.flatMap(({ address }) => address ?? []);
  if (reached !== undefined && addresses.length > 0)
    add('destination', addresses.join(' or '), reached, addresses.includes(reached));
  const policy = refusingPolicy(records);
  if (policy !== undefined) {
    const predicted = predictedPolicy(verdict);
    add('policy', originText(predicted), originText(policy), predicted === policy);
  }
  return found;
}

function statusesOf(verdict: Explanation['verdict']): string[] {
  const all = verdict.destinations.flatMap(({ status }) => status ?? []);
  return [...new Set([...(verdict.status === undefined ? [] : [verdict.status]), ...all])].map(String);
}

/** The rule that refused the call, as an origin's id; `none`: no rule allowed it. */
function refusingPolicy(records: readonly CallRecord[]): string | undefined {
  for (const { details = '' } of records) {
    const name = /rbac_access_denied_matched_policy\[(.*)\]$/.exec(details)?.[1];
    if (name === undefined) continue;
    const origin = policyOrigin(name);
    return origin ? originId(origin) : 'none';
  }
  return undefined;
}

/** As `refusingPolicy`: the whole of a policy decides where none of its rules allows. */
function predictedPolicy({ by }: Explanation['verdict']): string {
  return by === undefined || (by.kind === 'AuthorizationPolicy' && by.path === '') ? 'none' : originId(by);
}

function originWords({ kind, namespace, name, path }: DecidedBy): string {
  return `${kind} ${namespace}/${name}${path === '' ? '' : ` ${path}`}`;
}

function originText(id: string): string {
  const origin = parseOriginId(id);
  return origin ? originWords(origin) : 'no rule allows it';
}
