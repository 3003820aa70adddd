import { originId } from '../config/origin.ts';
import type { AppliedPolicy } from '../features/security/authorization-policy/schema.ts';
import type { CallRecord } from './call-record.ts';
import { type Cause, causeOf, targetOf } from './causes.ts';
import { type FailedCall, joinCalls } from './join-calls.ts';
import { type JudgedRule, nearestRule, type TrustDomains } from './judge-policy.ts';

/** Calls that failed for the same reason. */
export interface FailureGroup extends Cause {
  /** `refused by dry run`: nothing failed; a policy in dry run would have refused the call. */
  readonly kind: 'failed' | 'would be refused';
  readonly count: number;
  /** When the first and the last began, in ms since the epoch. */
  readonly first: number;
  readonly last: number;
  /** Whose proxies recorded the cause. */
  readonly workloads: readonly string[];
  /** Who called, as far as it is known: identities, else workloads. */
  readonly callers: readonly string[];
  /** The latest call, outermost record first. */
  readonly example: FailedCall;
  /** Where no ALLOW policy took the call: those in force, and the rule that came nearest. */
  readonly nearMiss?: NearMiss;
}

export interface NearMiss {
  /** `namespace/name`. */
  readonly policies: readonly string[];
  /** How many more there are than the log could hold. */
  readonly more: number;
  readonly rule?: JudgedRule;
}

/** What is known of the mesh beside the records. */
export interface KnownMesh {
  /** undefined: the policies could not be read. */
  readonly policies?: readonly AppliedPolicy[];
  readonly trustDomains: TrustDomains;
}

/** Callers listed of one group. */
const mostCallers = 20;

/** Groups failed calls by cause, most frequent first. Records of calls that went well (observed ones) are passed over. */
export function groupFailures(records: readonly CallRecord[], mesh: KnownMesh): FailureGroup[] {
  const failed = joinCalls(records.filter(hasFailed)).map((call) => ({
    call,
    record: call.records.at(-1) as CallRecord,
  }));
  const causes = failed.map(({ call, record }) => ({
    call,
    record,
    kind: 'failed' as const,
    cause: causeOf(record),
  }));
  const tried = records.flatMap((record) =>
    wouldBeRefused(record).map((cause) => ({
      call: { records: [record], assumed: false },
      record,
      kind: 'would be refused' as const,
      cause,
    })),
  );
  const groups = Map.groupBy([...causes, ...tried], ({ kind, cause, record }) =>
    JSON.stringify([
      kind,
      cause.code,
      cause.what,
      cause.decidedBy,
      record.policies,
      record.triedPolicies,
      targetKey(record),
    ]),
  );
  return [...groups.values()]
    .map((group): FailureGroup => {
      const sorted = group.toSorted((a, b) => a.record.start - b.record.start);
      const last = sorted.at(-1) as (typeof sorted)[number];
      const nearMiss = nearMissOf(last.cause, last.record, mesh, last.kind);
      return {
        kind: last.kind,
        ...last.cause,
        count: group.length,
        first: sorted[0]?.record.start ?? 0,
        last: last.record.start,
        workloads: distinct(group.map(({ record }) => record.workload)),
        callers: distinct(group.flatMap(({ call }) => callerOf(call) ?? [])).slice(0, mostCallers),
        example: last.call,
        ...(nearMiss ? { nearMiss } : {}),
      };
    })
    .sort((a, b) => b.count - a.count || b.last - a.last);
}

/** Copies of one service share a group. */
function targetKey(record: CallRecord): string {
  return record.side === 'outbound' ? targetOf(record) : (record.chain ?? record.listener ?? record.workload);
}

export function hasFailed({ type, flags, code = 0, details, end, tlsFailure }: CallRecord): boolean {
  if (type === 'connection') return flags.length > 0 || tlsFailure !== undefined;
  if (type === 'tcp') return flags.length > 0 || end !== undefined;
  return flags.length > 0 || code >= 500 || (code >= 400 && details !== 'via_upstream');
}

const shadowResult = /^istio_dry_run_([a-z]+)_shadow_engine_result$/;

/** What policies in dry run would have refused, by their marks in the record. */
export function wouldBeRefused(record: CallRecord): Cause[] {
  return Object.entries(record.rbac).flatMap(([key, result]): Cause[] => {
    const action = shadowResult.exec(key)?.[1];
    if (action === undefined || result !== 'denied') return [];
    const policy = record.rbac[`istio_dry_run_${action}_shadow_effective_policy_id`];
    const origin = policy === undefined ? undefined : ruleOf(policy);
    return [
      {
        code: 'dry run',
        what: origin
          ? 'a policy in dry run would have refused the call'
          : 'no ALLOW policy in dry run would have let the call in',
        mend: 'let a rule take the call, or leave it: nothing is refused until the annotation istio.io/dry-run goes',
        ...(origin ? { decidedBy: origin } : {}),
      },
    ];
  });
}

function ruleOf(policy: string): string | undefined {
  const [, namespace, name, index] = /ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]/.exec(policy) ?? [];
  if (namespace === undefined || name === undefined) return undefined;
  return originId({ kind: 'AuthorizationPolicy', namespace, name, path: `spec.rules[${index}]` });
}

function nearMissOf(
  { code, decidedBy }: Cause,
  record: CallRecord,
  { policies: known, trustDomains }: KnownMesh,
  kind: FailureGroup['kind'],
): NearMiss | undefined {
  if ((code !== 'RBAC' && code !== 'dry run') || decidedBy !== undefined) return undefined;
  const tried = kind === 'would be refused';
  const policies = tried ? record.triedPolicies : record.policies;
  const more = tried ? 0 : record.morePolicies;
  const inForce = (known ?? []).filter(
    ({ action, dryRun, namespace, name }) =>
      action === 'ALLOW' && dryRun === tried && policies.includes(`${namespace}/${name}`),
  );
  const rule = nearestRule(inForce, record, trustDomains);
  return { policies, more, ...(rule ? { rule } : {}) };
}

function callerOf({ records }: FailedCall): string | undefined {
  const named = records.findLast(({ principal }) => principal !== undefined);
  if (named?.principal !== undefined) return named.principal.replace(/^spiffe:\/\//, '');
  const [first] = records;
  return first?.side === 'outbound' ? first.workload : (first?.client?.replace(/:\d+$/, '') ?? undefined);
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
