import { parseOriginId } from '../config/origin.ts';
import { callLogMark } from '../features/telemetry/access-log/call-log.ts';
import { parseBoundedList } from '../kit/bounded-list.ts';

/** What one proxy recorded of one call: a line of its call log (see features/telemetry/access-log/call-log.ts), with what is absent left out. */
export interface CallRecord {
  /** `http`: a request; `tcp`: a connection carried as bytes; `connection`: one that came to no filter chain. */
  readonly type: 'http' | 'tcp' | 'connection';
  /** Of the proxy: the caller's own, or that of whom he calls (gateways included). */
  readonly side: 'outbound' | 'inbound';
  /** Whose proxy; the reader of the log knows. */
  readonly workload: string;
  /** When it began, in ms since the epoch. */
  readonly start: number;
  readonly durationMs: number;
  /** Envoy's response flags, `[]` where it had nothing to say. */
  readonly flags: readonly string[];
  readonly details?: string;
  readonly code?: number;
  readonly method?: string;
  /** Without its query. */
  readonly path?: string;
  readonly authority?: string;
  readonly requestId?: string;
  readonly grpcStatus?: string;
  readonly attempts?: number;
  /** `address:port` of the client as the proxy takes him to be; `peer`: of whom the connection is. */
  readonly client?: string;
  readonly peer?: string;
  readonly local?: string;
  /** SPIFFE identity that the caller's certificate proved. */
  readonly principal?: string;
  readonly sni?: string;
  readonly tlsFailure?: string;
  readonly upstreamCluster?: string;
  readonly upstreamHost?: string;
  readonly upstreamLocal?: string;
  readonly upstreamFailure?: string;
  /** Why a connection was ended. */
  readonly end?: string;
  /** Ids of origins. */
  readonly route?: string;
  readonly virtualHost?: string;
  /** Who made the routes of the virtual host, where they do not take every request. */
  readonly missed?: string;
  readonly upstreamOrigin?: string;
  /** What set the limits of the destination. */
  readonly limits?: string;
  readonly chain?: string;
  readonly listener?: string;
  /** The port that policies mean, where the proxy listens on an allocated one. */
  readonly port?: number;
  /** `namespace/name` of the ALLOW policies in force, and how many more there are. */
  readonly policies: readonly string[];
  readonly morePolicies: number;
  /** The ALLOW policies in dry run. */
  readonly triedPolicies: readonly string[];
  /** Origins of the rules for tokens. */
  readonly authentications: readonly string[];
  /** What the RBAC filters left. */
  readonly rbac: Readonly<Record<string, string>>;
  readonly token?: { readonly issuer: string; readonly subject: string };
}

/** Longest line that is looked at, in characters: lines of ours stay far below. */
const longestLine = 16_384;
const start = `{"${callLogMark}":`;

/** The record in a line of a proxy's log; undefined: the line is something else. */
export function parseCallRecord(line: string, workload: string): CallRecord | undefined {
  if (!line.startsWith(start) || line.length > longestLine) return undefined;
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const type = fields[callLogMark];
  const begun = Date.parse(String(fields.time));
  if ((type !== 'http' && type !== 'tcp' && type !== 'connection') || Number.isNaN(begun)) return undefined;
  const { names: policies, more } = parseBoundedList(text(fields.policies) ?? '');
  return {
    type,
    side: fields.side === 'outbound' ? 'outbound' : 'inbound',
    workload,
    start: begun,
    durationMs: number(fields.duration) ?? 0,
    flags: (text(fields.flags) ?? '').split(',').filter((flag) => flag !== ''),
    policies,
    morePolicies: more,
    triedPolicies: parseBoundedList(text(fields.tried) ?? '').names,
    authentications: parseBoundedList(text(fields.tokens) ?? '').names,
    rbac: rbacOf(fields.rbac),
    ...given({
      details: text(fields.details),
      code: number(fields.code) || undefined,
      method: text(fields.method),
      path: text(fields.path),
      authority: text(fields.authority),
      requestId: text(fields.request_id),
      grpcStatus: text(fields.grpc_status),
      attempts: number(fields.attempts),
      client: text(fields.client),
      peer: text(fields.peer),
      local: text(fields.local),
      principal: text(fields.principal),
      sni: text(fields.sni),
      tlsFailure: text(fields.tls_failure),
      upstreamCluster: text(fields.upstream_cluster),
      upstreamHost: text(fields.upstream_host),
      upstreamLocal: text(fields.upstream_local),
      upstreamFailure: text(fields.upstream_failure),
      end: text(fields.end),
      route: origin(fields.route),
      virtualHost: origin(fields.virtual_host),
      missed: origin(fields.missed),
      upstreamOrigin: origin(fields.upstream_origin),
      limits: origin(fields.limits),
      chain: origin(fields.chain),
      listener: origin(fields.listener),
      port: number(fields.port),
      token: tokenOf(fields),
    }),
  };
}

/** Absent values are null or `-` in Envoy's words. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value !== '-' ? value : undefined;
}

function number(value: unknown): number | undefined {
  const found = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
}

function origin(value: unknown): string | undefined {
  const id = text(value);
  return id !== undefined && parseOriginId(id) ? id : undefined;
}

function rbacOf(value: unknown): Record<string, string> {
  const found: Record<string, string> = {};
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, result] of Object.entries(value)) if (typeof result === 'string') found[key] = result;
  return found;
}

function tokenOf(fields: Readonly<Record<string, unknown>>): CallRecord['token'] {
  const issuer = text(fields.token_issuer);
  const subject = text(fields.token_subject);
  return issuer !== undefined && subject !== undefined ? { issuer, subject } : undefined;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}
