import type { User } from '../access/user.ts';
import type { Issue, Kind, KindVersion } from '../kind.ts';
import type { ConfigObject } from '../object.ts';

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE';

export interface AdmissionRequest {
  operation: AdmissionOperation;
  kind: Kind;
  version: KindVersion;
  subresource: string;
  namespace: string;
  name: string;
  user: User;
  /** The program that asks, by its User-Agent: `kubectl`. */
  agent: string;
  /** Absent for DELETE. Hooks may change it in place while mutating, and must not while validating. */
  object: ConfigObject | undefined;
  /** Absent for CREATE. Never to be changed. */
  old: ConfigObject | undefined;
  dryRun: boolean;
  /** Shows a warning to the caller (HTTP header `Warning: 299`). */
  warn: (message: string) => void;
}

/** Steps of one admission plugin. A rejection is an `ApiError`; issues are collected over all plugins into one 422. */
export interface AdmissionHook {
  name: string;
  mutate?: (request: AdmissionRequest) => void | Promise<void>;
  validate?: (request: AdmissionRequest) => readonly Issue[] | Promise<readonly Issue[]>;
}

export interface SchemaVerdict {
  /** The object to store: unknown fields pruned, defaults set. */
  object: ConfigObject;
  /** JSON paths of the fields that were pruned. */
  unknownFields: readonly string[];
  issues: readonly Issue[];
}

/**
 * Checks an object against the schema of its version: pruning, defaulting, types, rules. Must not change its arguments.
 * `old` is there on updates, for transition rules.
 */
export type SchemaAdmission = (request: {
  kind: Kind;
  version: KindVersion;
  object: ConfigObject;
  old: ConfigObject | undefined;
}) => SchemaVerdict;
