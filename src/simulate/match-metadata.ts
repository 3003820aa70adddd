import type { MetadataMatcher } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { DoubleMatcher } from '../../gen/proto/envoy/type/matcher/v3/number_pb.js';
import type { ValueMatcher } from '../../gen/proto/envoy/type/matcher/v3/value_pb.js';
import { isObject } from '../kit/json.ts';
import { stringMatches } from './match-text.ts';

/** What filters left for a request, by filter. */
export type CallMetadata = Readonly<Record<string, unknown>>;

/** A path that leads nowhere is no value: only presence can ask about it, and an inverted match holds. */
export function metadataMatches(
  { filter, path, value, invert }: MetadataMatcher,
  metadata: CallMetadata,
): boolean {
  let found: unknown = metadata[filter];
  for (const { segment } of path)
    found = isObject(found) && segment.case === 'key' ? found[segment.value] : undefined;
  return (value !== undefined && valueMatches(value, found)) !== invert;
}

function valueMatches({ matchPattern: pattern }: ValueMatcher, value: unknown): boolean {
  switch (pattern.case) {
    case 'presentMatch':
      return (value !== undefined) === pattern.value;
    case 'nullMatch':
      return value === null;
    case 'boolMatch':
      return value === pattern.value;
    case 'doubleMatch':
      return typeof value === 'number' && numberMatches(pattern.value.matchPattern, value);
    case 'stringMatch':
      return typeof value === 'string' && stringMatches(pattern.value, value);
    case 'listMatch': {
      const inner =
        pattern.value.matchPattern.case === 'oneOf' ? pattern.value.matchPattern.value : undefined;
      return inner !== undefined && Array.isArray(value) && value.some((item) => valueMatches(inner, item));
    }
    case 'orMatch':
      return pattern.value.valueMatchers.some((matcher) => valueMatches(matcher, value));
    default:
      return false;
  }
}

function numberMatches(pattern: DoubleMatcher['matchPattern'], value: number): boolean {
  if (pattern.case === 'exact') return value === pattern.value;
  return pattern.case === 'range' && value >= pattern.value.start && value < pattern.value.end;
}
