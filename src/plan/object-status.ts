/** A listener's condition that its certificate has expired, or does not hold yet: there while that is so. */
export const certificateValid = 'ostria.io/CertificateValid';

/** A condition without what only the writer knows: when it changed, and of which generation it speaks. */
export interface PlannedCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  /** Milliseconds since 1970 between which it holds; absent: always. */
  readonly from?: number;
  readonly until?: number;
}

/** A part of a status with conditions of its own: a listener, a route's parent, a policy's ancestor. */
export interface StatusEntry {
  readonly conditions: readonly PlannedCondition[];
  readonly [field: string]: unknown;
}

/**
 * What the mesh has to say in an object's status. Only what is named here is touched: conditions of other types, other controllers'
 * entries and other fields stay.
 */
export interface ObjectStatusPlan {
  readonly conditions?: readonly PlannedCondition[];
  /** Lists that are ours as a whole, told apart by `name`. */
  readonly lists?: Readonly<Record<string, readonly StatusEntry[]>>;
  /** A list that controllers share: entries with a `controllerName` of `controllers` are ours, told apart by it and the reference `by`. */
  readonly shared?: {
    readonly field: string;
    readonly by: string;
    readonly controllers: readonly string[];
    readonly entries: readonly StatusEntry[];
  };
  /** Plain fields. */
  readonly fields?: Readonly<Record<string, unknown>>;
}
