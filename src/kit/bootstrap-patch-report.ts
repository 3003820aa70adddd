/** Node metadata by which an agent tells what became of its BOOTSTRAP patches. */
export const bootstrapPatchReport = 'OSTRIA_BOOTSTRAP_PATCHES';

/** Its value. Patches are named `namespace/name#index`. */
export interface BootstrapPatchReport {
  readonly applied: readonly string[];
  /** Patch → what Envoy said. */
  readonly refused: Readonly<Record<string, string>>;
}

/** Metadata is whatever the node says: anything else than a report is none. */
export function readBootstrapPatchReport(metadata: Readonly<Record<string, unknown>>): BootstrapPatchReport {
  const value = metadata[bootstrapPatchReport];
  const { applied, refused } = (typeof value === 'object' && value !== null ? value : {}) as {
    applied?: unknown;
    refused?: unknown;
  };
  return {
    applied: Array.isArray(applied) ? applied.filter((id) => typeof id === 'string') : [],
    refused: Object.fromEntries(
      Object.entries(typeof refused === 'object' && refused !== null ? refused : {}).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  };
}
