import { originId } from '../config/origin.ts';
import type { AppliedPolicy } from '../features/security/authorization-policy/schema.ts';
import type { CallRecord } from './call-record.ts';
import { admits, type JudgedRule, judgePolicy, nearestRule, type TrustDomains } from './judge-policy.ts';
import { arrived } from './suggest-policies.ts';

/** Calls of one sort that policies would refuse. */
export interface WouldRefuse {
  readonly count: number;
  /** The latest. */
  readonly example: CallRecord;
  /** Id of the rule of a DENY policy; absent: no ALLOW policy takes the call. */
  readonly decidedBy?: string;
  /** The rule that comes nearest to taking it. */
  readonly nearest?: JudgedRule;
}

export interface PolicyCheck {
  /** Calls that were recorded at workloads to which a policy applies. */
  readonly judged: number;
  readonly refused: number;
  /** What the record does not say decides about so many (headers, claims of tokens). */
  readonly undecided: number;
  readonly refusals: readonly WouldRefuse[];
}

/** What policies would have done to the calls that were recorded. `appliedTo`: those of them that apply where a record was written. */
export function checkPolicies(
  records: readonly CallRecord[],
  appliedTo: (record: CallRecord) => readonly AppliedPolicy[],
  trustDomains: TrustDomains,
): PolicyCheck {
  let judged = 0;
  let undecided = 0;
  const groups = new Map<string, WouldRefuse>();
  for (const call of records.filter(arrived)) {
    const policies = appliedTo(call).map((policy) => ({ ...policy, dryRun: false }));
    if (policies.length === 0) continue;
    judged++;
    const verdict = admits(policies, call, trustDomains);
    if (verdict === 'unknown') undecided++;
    if (verdict !== 'no') continue;
    const decidedBy = denying(policies, call, trustDomains);
    const key = JSON.stringify([
      decidedBy,
      call.method,
      call.path,
      call.principal,
      policies.map(({ name }) => name),
    ]);
    const nearest =
      decidedBy === undefined
        ? nearestRule(
            policies.filter(({ action }) => action === 'ALLOW'),
            call,
            trustDomains,
          )
        : undefined;
    groups.set(key, {
      count: (groups.get(key)?.count ?? 0) + 1,
      example: call,
      ...(decidedBy === undefined ? {} : { decidedBy }),
      ...(nearest ? { nearest } : {}),
    });
  }
  const refusals = [...groups.values()].sort((a, b) => b.count - a.count);
  return { judged, refused: refusals.reduce((sum, { count }) => sum + count, 0), undecided, refusals };
}

function denying(
  policies: readonly AppliedPolicy[],
  call: CallRecord,
  trustDomains: TrustDomains,
): string | undefined {
  const rule = policies
    .filter(({ action }) => action === 'DENY')
    .flatMap((policy) => judgePolicy(policy, call, trustDomains))
    .find(({ holds }) => holds === 'yes');
  return rule && originId(rule.origin);
}
