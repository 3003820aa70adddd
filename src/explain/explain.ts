import type { Model } from '../model/model.ts';
import type { Call, SimulationOptions } from '../simulate/call.ts';
import { type Caller, findCaller, nameOf } from './caller.ts';
import type { Decision, Explanation } from './explanation.ts';
import { identityFor, type Start, startDecision, startOf } from './first-hop.ts';
import { type Following, follow } from './follow.ts';
import { lazyDecision } from './lazy-decision.ts';
import type { Leaf } from './leaf.ts';
import type { Question } from './question.ts';
import { parseTarget, somewhere, type TargetUrl } from './target.ts';
import { type Doubt, targetDoubt, unsettled } from './target-doubt.ts';
import type { Unanswerable } from './unanswerable.ts';
import { verdictOf } from './verdict.ts';
import { withoutProxy } from './without-proxy.ts';

type Or<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: Unanswerable };

export type Answer = Or<{ readonly explanation: Explanation }>;

/**
 * What becomes of one request or connection in a mesh, and who decided it: through the proxy of the caller, those in between and
 * that of each destination. `options`: the clock for tokens, a verifier of their signatures, verdicts of external authorizers.
 */
export function explain(model: Model, question: Question, options: SimulationOptions = {}): Answer {
  const asked = ask(model, question);
  if (!asked.ok) return asked;
  const { url, caller, identity, start } = asked;
  const lazy = start.hop && lazyDecision(model, start.hop);
  const decisions: Decision[] = [startDecision(model, caller, url, start), ...(lazy ? [lazy] : [])];
  const following: Following = { model, options, identity, decisions, assumed: new Set() };
  const leaves = start.hop ? follow(following, start.hop, 0, true) : withoutProxy(following, start, url.port);
  const doubt = targetDoubt(model, caller, url, start.target);
  const ends = doubt === undefined ? leaves : unsettled(leaves, doubt);
  const method = url.scheme === 'http' || url.scheme === 'https' ? (question.method ?? 'GET') : undefined;
  const host = start.target.service?.hostname;
  const who = caller.outside ? `a client outside (by ${nameOf(caller.at)})` : nameOf(caller.at);
  return {
    ok: true,
    explanation: {
      question: {
        from: caller.at.key,
        ...(method ? { method } : {}),
        url: question.url,
        ...(host ? { host } : {}),
      },
      decisions,
      verdict: verdictOf(model, ends, who, `${method ? `${method} ` : ''}${question.url}`),
      assumptions: [
        ...(doubt ? assumedOf(doubt, ends, url, start) : []),
        ...model.assumptions,
        ...following.assumed,
      ],
    },
  };
}

/** Who blocks the host, or routes it into the mesh, leaves no question; that the name resolves stays to be told, and to which address. */
function assumedOf(doubt: Doubt, ends: readonly Leaf[], url: TargetUrl, start: Start): string[] {
  if (ends.every(({ end }) => end.outcome !== 'unknown')) return [doubt.assumption];
  const address = start.hop?.call.address ?? start.address;
  return address === somewhere ? [`the address of ${url.host} is taken to be ${somewhere}`] : [];
}

/** The call as it comes to the first proxy, for whoever sends it in earnest; `call` absent: no proxy takes it. */
export function entryOf(model: Model, question: Question): Or<{ readonly call?: Call }> {
  const asked = ask(model, question);
  if (!asked.ok) return asked;
  const { hop } = asked.start;
  return { ok: true, ...(hop ? { call: hop.call } : {}) };
}

interface Asked {
  readonly url: TargetUrl;
  readonly caller: Caller;
  readonly identity: string;
  readonly start: Start;
}

function ask(model: Model, question: Question): Or<Asked> {
  const url = parseTarget(question.url);
  if (!url.ok) return url;
  const caller = findCaller(model, question.from);
  if (!caller.ok) return caller;
  const identity = identityFor(model, caller.value.at, question.as);
  if (identity === undefined) {
    const message = `${question.as} is no identity; write namespace/serviceAccount, or spiffe://… in full`;
    return { ok: false, error: { code: 'IdentityInvalid', message } };
  }
  const whole = question.as === undefined ? question : { ...question, as: identity };
  const start = startOf(model, caller.value, url.value, whole);
  return { ok: true, url: url.value, caller: caller.value, identity, start };
}
