interface KnownDifference {
  readonly why: string;
  /** Exactly these, or the case fails. */
  readonly differences: readonly string[];
}

/** Cases in which what is recorded is not what a user should be told. */
export const knownDifferences: Readonly<Record<string, KnownDifference>> = {};
