import type { Clock } from '../../kit/clock.ts';
import type { AccessAttributes, AccessDecision, PolicyRule, User } from '../access/user.ts';
import type { Kind, KindRegistry, KindVersion } from '../kind.ts';
import type { ConfigObject } from '../object.ts';
import type { Store } from '../store/store.ts';
import type { AdmissionHook, SchemaAdmission } from './admission-hooks.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { ApiLimits } from './limits.ts';
import type { RequestInfo } from './request/request-info.ts';

/** Answers "may this user do that"; `src/config/access` implements it. */
export interface Authorizer {
  authorize(user: User, attributes: AccessAttributes): Promise<AccessDecision>;
  /** All rules that hold for a user in a namespace. */
  rulesFor(user: User, namespace: string): Promise<PolicyRule[]>;
}

/** Makes and checks the bearer tokens of service accounts. */
export interface TokenIssuer {
  issue(request: {
    namespace: string;
    name: string;
    uid: string;
    audiences: readonly string[];
    expirationSeconds: number;
    /** The object whose life bounds the token's. */
    boundTo?: { kind: string; name: string; uid: string };
  }): Promise<{ token: string; expires: Date; audiences: string[] }>;
  /** The user of a valid token, or why it is not valid. */
  verify(
    token: string,
    audiences?: readonly string[],
  ): Promise<{ user: User; audiences: string[] } | { error: string }>;
}

export interface ApiContext {
  store: Store;
  kinds: KindRegistry;
  limits: ApiLimits;
  clock: Clock;
  authorizer: Authorizer;
  tokens: TokenIssuer;
  schema: SchemaAdmission;
  hooks: readonly AdmissionHook[];
  /** Serialises writers of one object within this process, so that they do not fail on each other's revisions. */
  locks: KeyedLock;
  /** Converts a stored object to another version of its kind. The default changes `apiVersion` only. */
  convert: (object: ConfigObject, kind: Kind, version: KindVersion) => ConfigObject;
  /** Resolves when the side effects of a commit on the API itself (a CRD's kind, a role) are in force. */
  settled: (resource: string, revision: number) => Promise<void>;
  log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Aborted when the server closes. */
  signal: AbortSignal;
}

/** The kind and version that a resource path names. */
export interface Target {
  kind: Kind;
  version: KindVersion;
}

export interface RequestContext extends ApiContext {
  info: RequestInfo;
  user: User;
  /** The user agent's first word, the default field manager. */
  agent: string;
  warnings: string[];
  headers: Readonly<Record<string, string | string[] | undefined>>;
  readBody: () => Promise<Buffer>;
}

export function apiVersionOf(target: {
  kind: Pick<Kind, 'group'>;
  version: Pick<KindVersion, 'name'>;
}): string {
  return target.kind.group === '' ? target.version.name : `${target.kind.group}/${target.version.name}`;
}

export function storageVersion(kind: Kind): KindVersion {
  const version = kind.versions.find((one) => one.storage) ?? kind.versions[0];
  if (!version) throw new Error(`kind ${kind.kind}.${kind.group} has no version`);
  return version;
}

/** The names of a kind for messages. */
export function subjectOf(kind: Kind): { group: string; resource: string; kind: string } {
  return { group: kind.group, resource: kind.plural, kind: kind.kind };
}

/** Adds a warning for the caller; equal ones are told once. */
export function warn(context: RequestContext, message: string): void {
  if (context.warnings.length < context.limits.warnings && !context.warnings.includes(message)) {
    context.warnings.push(message);
  }
}

/** Groups that Kubernetes itself compiles in: their kinds take part in strategic merge and allow unconditional updates. */
export function isBuiltinGroup(group: string): boolean {
  if (!group.includes('.')) return true;
  return builtinDottedGroups.has(group);
}

const builtinDottedGroups = new Set(
  [
    'admissionregistration',
    'apiextensions',
    'apiregistration',
    'authentication',
    'authorization',
    'certificates',
    'coordination',
    'discovery',
    'events',
    'flowcontrol.apiserver',
    'networking',
    'node',
    'rbac.authorization',
    'scheduling',
    'storage',
  ].map((name) => `${name}.k8s.io`),
);
