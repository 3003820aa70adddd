import { create } from '@bufbuild/protobuf';
import {
  type MetadataMatcher,
  MetadataMatcherSchema,
} from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { type ValueMatcher, ValueMatcherSchema } from '../../gen/proto/envoy/type/matcher/v3/value_pb.js';
import type { ClaimMatch } from '../plan/route-plan.ts';
import { stringMatcher } from './matcher.ts';

export function textValue(matcher: StringMatcher): ValueMatcher {
  return create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: matcher } });
}

/** A list with a member that is so. */
export function listValue(inner: ValueMatcher): ValueMatcher {
  return create(ValueMatcherSchema, {
    matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: inner } } },
  });
}

export function eitherValue(values: ValueMatcher[]): ValueMatcher {
  const [only] = values;
  if (only && values.length === 1) return only;
  return create(ValueMatcherSchema, { matchPattern: { case: 'orMatch', value: { valueMatchers: values } } });
}

/** A text that is so, or a list that holds one. */
export function textOrListValue(texts: readonly StringMatcher[]): ValueMatcher {
  const either = eitherValue(texts.map(textValue));
  return eitherValue([listValue(either), either]);
}

export function metadataMatcher(
  filter: string,
  path: readonly string[],
  value: ValueMatcher,
  invert = false,
): MetadataMatcher {
  return create(MetadataMatcherSchema, {
    filter,
    path: path.map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value,
    invert,
  });
}

/** Claims of a verified token, where the jwt_authn filter leaves them. */
export function claimMatcher(path: readonly string[], value: ValueMatcher, invert = false): MetadataMatcher {
  return metadataMatcher('envoy.filters.http.jwt_authn', ['payload', ...path], value, invert);
}

export function routeClaimMatcher({ path, match, invert }: ClaimMatch): MetadataMatcher {
  const value =
    'present' in match
      ? create(ValueMatcherSchema, { matchPattern: { case: 'presentMatch', value: true } })
      : textOrListValue([stringMatcher(match)]);
  return claimMatcher(path, value, invert ?? false);
}
