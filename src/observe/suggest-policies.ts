import type { AuthorizationPolicyRules } from '../../gen/crd/types/istio/authorization-policy.ts';
import {
  type AppliedPolicy,
  type AuthorizationPolicy,
  appliedPolicy,
} from '../features/security/authorization-policy/schema.ts';
import type { CallRecord } from './call-record.ts';
import { admits, splitAddress, type TrustDomains } from './judge-policy.ts';
import { pathPatterns } from './path-patterns.ts';

/** Whom records tell of. */
export interface ObservedWorkload {
  readonly namespace: string;
  /** What people call it: its service, else its app. */
  readonly name: string;
  /** Labels that pick it and its copies. */
  readonly selector: Readonly<Record<string, string>>;
}

export interface Suggestion {
  readonly workload: ObservedWorkload;
  readonly policy: AuthorizationPolicy;
  /** Calls that reached the workload. */
  readonly observed: number;
  /** How many of them the policy would have refused, and the sorts of them. */
  readonly refused: number;
  readonly refusals: readonly Refusal[];
}

export interface Refusal {
  readonly what: string;
  readonly why: string;
  readonly count: number;
}

export interface SuggestOptions {
  readonly workloadOf: (record: CallRecord) => ObservedWorkload | undefined;
  readonly trustDomains: TrustDomains;
  /** Default true: judged and told, nothing refused. */
  readonly dryRun: boolean;
}

/** Least privilege from what was observed: for each workload one ALLOW policy that takes the calls that it answered, and as few others as sensible. */
export function suggestPolicies(records: readonly CallRecord[], options: SuggestOptions): Suggestion[] {
  const groups = new Map<string, { workload: ObservedWorkload; calls: CallRecord[] }>();
  for (const record of records) {
    const workload = arrived(record) ? options.workloadOf(record) : undefined;
    if (!workload) continue;
    const key = `${workload.namespace}/${workload.name}`;
    const group = groups.get(key) ?? { workload, calls: [] };
    group.calls.push(record);
    groups.set(key, group);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { workload, calls }]) => suggest(workload, calls, options));
}

/** Whether a call reached the application: what a policy refused today needs no permission. */
export function arrived({ type, side, details, end, upstreamHost }: CallRecord): boolean {
  if (side !== 'inbound' || type === 'connection' || upstreamHost === undefined) return false;
  return type === 'http' ? details === 'via_upstream' : end === undefined;
}

/** Whether it is one that ought to be let in: whoever tries paths that there are not is no pattern to go by. */
function isMeant({ principal, code, type }: CallRecord): boolean {
  return principal !== undefined && (type !== 'http' || (code !== 404 && code !== 405));
}

function suggest(
  workload: ObservedWorkload,
  calls: readonly CallRecord[],
  { trustDomains, dryRun }: SuggestOptions,
): Suggestion {
  const policy: AuthorizationPolicy = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      name: `${workload.name}-observed`,
      namespace: workload.namespace,
      ...(dryRun ? { annotations: { 'istio.io/dry-run': 'true' } } : {}),
    },
    spec: {
      selector: { matchLabels: { ...workload.selector } },
      action: 'ALLOW',
      rules: rulesFor(calls.filter(isMeant)),
    },
  };
  const enforced: AppliedPolicy = { ...appliedPolicy(policy), dryRun: false };
  const refused = calls.filter((call) => admits([enforced], call, trustDomains) === 'no');
  return { workload, policy, observed: calls.length, refused: refused.length, refusals: sortsOf(refused) };
}

function sortsOf(calls: readonly CallRecord[]): Refusal[] {
  const groups = Map.groupBy(calls, (call) => JSON.stringify([whatOf(call), whyOf(call)]));
  return [...groups]
    .map(([key, { length: count }]): Refusal => {
      const [what, why] = JSON.parse(key) as [string, string];
      return { what, why, count };
    })
    .sort((a, b) => b.count - a.count);
}

function whatOf({ method, path, type, principal, client }: CallRecord): string {
  const what = type === 'http' ? `${method} ${path}` : 'a connection';
  return `${what} from ${principal?.replace(/^spiffe:\/\//, '') ?? splitAddress(client).ip}`;
}

function whyOf({ principal, code }: CallRecord): string {
  if (principal === undefined) return 'came without an identity';
  return code === 404 || code === 405 ? `was answered ${code}` : 'is not taken by a rule';
}

/** One rule for all callers that do the same. */
function rulesFor(calls: readonly CallRecord[]): AuthorizationPolicyRules[] {
  const ports = new Set(calls.map(portOf));
  const byCaller = Map.groupBy(calls, ({ principal = '' }) => principal.replace(/^spiffe:\/\//, ''));
  const byOperations = Map.groupBy(
    [...byCaller].map(([principal, own]) => ({ principal, to: operationsOf(own, ports.size > 1) })),
    ({ to }) => JSON.stringify(to),
  );
  return [...byOperations.values()]
    .map((group) => ({ principals: group.map(({ principal }) => principal).sort(), to: group[0]?.to ?? [] }))
    .sort((a, b) => ((a.principals[0] ?? '') < (b.principals[0] ?? '') ? -1 : 1))
    .map(({ principals, to }) => ({
      from: [{ source: { principals } }],
      ...(to.length > 0 ? { to: to.map((operation) => ({ operation })) } : {}),
    }));
}

interface Operation {
  readonly ports?: string[];
  readonly methods?: string[];
  readonly paths?: string[];
}

/** Methods that are used on the same paths stand together. */
function operationsOf(calls: readonly CallRecord[], tellPorts: boolean): Operation[] {
  const byPort = Map.groupBy(calls, (call) => (tellPorts ? portOf(call) : ''));
  return [...byPort]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([port, own]): Operation[] => {
      const ports = port === '' ? {} : { ports: [port] };
      if (own.some(({ type }) => type === 'tcp')) return port === '' ? [] : [ports];
      const byMethod = Map.groupBy(own, ({ method = '' }) => method);
      const byPaths = Map.groupBy(
        [...byMethod].map(([method, some]) => ({
          method,
          paths: pathPatterns(some.map(({ path = '/' }) => path)),
        })),
        ({ paths }) => paths.join(' '),
      );
      return [...byPaths.values()]
        .map((group) => ({
          ...ports,
          methods: group.map(({ method }) => method).sort(),
          paths: group[0]?.paths ?? [],
        }))
        .sort((a, b) => ((a.methods[0] ?? '') < (b.methods[0] ?? '') ? -1 : 1));
    });
}

function portOf({ port, local }: CallRecord): string {
  return String(port ?? splitAddress(local).port);
}
