import { originId, parseOriginId } from '../../config/origin.ts';
import type { DecidedBy, Explanation } from '../../explain/explanation.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { answeredByApplication } from '../../observe/join-calls.ts';
import { policyOrigin } from '../../simulate/policy-names.ts';
import type { Reply } from './send-call.ts';

/** One thing that was predicted, and what it was in earnest. */
export interface Comparison {
  readonly what: 'answer' | 'status' | 'connection' | 'route' | 'destination' | 'policy';
  readonly predicted: string;
  readonly real: string;
  readonly agrees: boolean;
}

/** What was predicted beside what came back and what the proxies recorded, the caller's first. */
export function compare(
  { verdict, decisions }: Explanation,
  reply: Reply,
  records: readonly CallRecord[],
): Comparison[] {
  const found: Comparison[] = [ending(verdict, reply, records)];
  const add = (what: Comparison['what'], predicted: string, real: string, agrees: boolean): void => {
    found.push({ what, predicted, real, agrees });
  };
  const [first] = records;
  const routes = decisions.filter(({ stage, by }) => stage === 'route' && by).flatMap(({ by }) => by ?? []);
  if (first?.route !== undefined && routes[0])
    add('route', originWords(routes[0]), originText(first.route), originId(routes[0]) === first.route);
  const reached = first?.upstreamHost;
  const addresses = verdict.destinations.flatMap(({ address }) => address ?? []);
  if (reached !== undefined && addresses.length > 0 && verdict.outcome !== 'unknown')
    add('destination', addresses.join(' or '), reached, addresses.includes(reached));
  const policy = refusingPolicy(records);
  if (policy !== undefined) {
    const predicted = predictedPolicy(verdict);
    add('policy', originText(predicted), originText(policy), predicted === policy);
  }
  return found;
}

/** Whether somebody behind the proxies got it, as far as they tell. */
export function isAnswered(reply: Reply, records: readonly CallRecord[]): boolean {
  const last = records.at(-1);
  if (!last) return reply.error === undefined;
  if (last.type === 'http') return last.details === 'via_upstream';
  return isCarried(last);
}

/** A connection of bytes came to somebody: nobody refused it, and there was an endpoint that took it. */
function isCarried({ type, flags, upstreamHost, end = '', details = '' }: CallRecord): boolean {
  const refused = /rbac_access_denied/.test(`${end}${details}`);
  return type === 'tcp' && flags.length === 0 && upstreamHost !== undefined && !refused;
}

/** How it ended: an answer of the application, a status that a proxy gave, or a connection that was carried or closed. */
function ending(verdict: Explanation['verdict'], reply: Reply, records: readonly CallRecord[]): Comparison {
  const real = reply.status === undefined ? (reply.error ?? 'no answer') : String(reply.status);
  if (verdict.outcome === 'unknown') {
    const words = isAnswered(reply, records) ? `${real}, by the destination` : real;
    return { what: 'answer', predicted: 'not known', real: words, agrees: true };
  }
  if (reply.bytes && verdict.status === undefined) return connectionEnd(verdict, reply, records);
  const possible = statusesOf(verdict);
  if (verdict.outcome !== 'delivered') {
    const agrees = possible.includes(real) || (possible.length === 0 && reply.status === undefined);
    return { what: 'status', predicted: possible.join(' or ') || 'none', real, agrees };
  }
  const own = records.some(answeredByApplication) || records.length === 0;
  return {
    what: 'answer',
    predicted: 'by the application',
    real: `${real}${own ? ', by the application' : ', by a proxy'}`,
    agrees: own && reply.error === undefined,
  };
}

function connectionEnd(
  verdict: Explanation['verdict'],
  reply: Reply,
  records: readonly CallRecord[],
): Comparison {
  const last = records.at(-1);
  const carried = last ? isCarried(last) : reply.error === undefined;
  const why = last?.flags.join(',') || (last && refusalOf(last) !== undefined ? 'RBAC' : '');
  const codes = verdict.flags.map(({ code }) => code);
  const words = (isCarried: boolean, codes: string): string =>
    isCarried ? 'carried to the destination' : `closed${codes === '' ? '' : ` (${codes})`}`;
  const expected = verdict.outcome === 'delivered';
  return {
    what: 'connection',
    predicted: words(expected, codes.join(' or ')),
    real: words(carried, why),
    agrees: expected === carried,
  };
}

function statusesOf(verdict: Explanation['verdict']): string[] {
  const all = verdict.destinations.flatMap(({ status }) => status ?? []);
  return [...new Set([...(verdict.status === undefined ? [] : [verdict.status]), ...all])].map(String);
}

/** The rule that refused the call, as an origin's id; `none`: no rule allowed it. */
function refusingPolicy(records: readonly CallRecord[]): string | undefined {
  for (const record of records) {
    const name = refusalOf(record);
    if (name === undefined) continue;
    const origin = policyOrigin(name);
    return origin ? originId(origin) : 'none';
  }
  return undefined;
}

/** Of a request its details say it, of bytes why their connection was ended. */
function refusalOf({ details = '', end = '' }: CallRecord): string | undefined {
  const pattern = /rbac_access_denied_matched_policy\[(.*)\]$/;
  return (pattern.exec(details) ?? pattern.exec(end))?.[1];
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
