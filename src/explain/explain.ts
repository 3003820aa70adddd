import type { Model } from '../model/model.ts';
import type { SimulationOptions } from '../simulate/call.ts';
import { findCaller, nameOf } from './caller.ts';
import type { Decision, Explanation } from './explanation.ts';
import { identityFor, startOf } from './first-hop.ts';
import { type Following, follow } from './follow.ts';
import type { Question } from './question.ts';
import { parseTarget } from './target.ts';
import type { Unanswerable } from './unanswerable.ts';
import { verdictOf } from './verdict.ts';
import { withoutProxy } from './without-proxy.ts';

export type Answer =
  | { readonly ok: true; readonly explanation: Explanation }
  | { readonly ok: false; readonly error: Unanswerable };

/**
 * What becomes of one request or connection in a mesh, and who decided it: through the proxy of the caller, those in between and
 * that of each destination. `options`: the clock for tokens, a verifier of their signatures, verdicts of external authorizers.
 */
export function explain(model: Model, question: Question, options: SimulationOptions = {}): Answer {
  const url = parseTarget(question.url);
  if (!url.ok) return url;
  const caller = findCaller(model, question.from);
  if (!caller.ok) return caller;
  const { at, outside } = caller.value;
  const identity = identityFor(model, at, question.as);
  if (identity === undefined)
    return {
      ok: false,
      error: {
        code: 'IdentityInvalid',
        message: `${question.as} is no identity; write namespace/serviceAccount, or spiffe://… in full`,
      },
    };
  const asked = question.as === undefined ? question : { ...question, as: identity };
  const start = startOf(model, caller.value, url.value, asked);
  const decisions: Decision[] = [start.decision];
  const following: Following = { model, options, identity, decisions, assumed: new Set() };
  const leaves = start.hop
    ? follow(following, start.hop, 0, true)
    : withoutProxy(following, start, url.value.port);
  const { scheme } = url.value;
  const method = scheme === 'http' || scheme === 'https' ? (question.method ?? 'GET') : undefined;
  const host = start.target.service?.hostname;
  return {
    ok: true,
    explanation: {
      question: {
        from: at.key,
        ...(method ? { method } : {}),
        url: question.url,
        ...(host ? { host } : {}),
      },
      decisions,
      verdict: verdictOf(
        model,
        leaves,
        outside ? `a client outside (by ${nameOf(at)})` : nameOf(at),
        `${method ? `${method} ` : ''}${question.url}`,
      ),
      assumptions: [...model.assumptions, ...following.assumed],
    },
  };
}
