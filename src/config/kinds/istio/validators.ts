import type { Kind } from '../../kind.ts';

/** Semantic validators by `Kind.group`. */
export const istioValidators: Readonly<Record<string, Kind['validate']>> = {};
