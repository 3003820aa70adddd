import { create } from '@bufbuild/protobuf';
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { type StringMatcher, StringMatcherSchema } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { NamedMatch, TextMatch } from '../plan/route-plan.ts';

/** `present` has no string form: callers ask for presence instead. */
export function stringMatcher(match: TextMatch): StringMatcher {
  if ('exact' in match)
    return create(StringMatcherSchema, { matchPattern: { case: 'exact', value: match.exact } });
  if ('prefix' in match)
    return create(StringMatcherSchema, { matchPattern: { case: 'prefix', value: match.prefix } });
  const regex = 'regex' in match ? match.regex : '.*';
  return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex } } });
}

/** Inverted value matches take an absent header as empty, so that "without x: y" holds where there is no x at all. */
export function headerMatcher({ name, match, invert }: NamedMatch): HeaderMatcher {
  if ('present' in match)
    return create(HeaderMatcherSchema, {
      name,
      headerMatchSpecifier: { case: 'presentMatch', value: true },
      invertMatch: invert ?? false,
    });
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier: { case: 'stringMatch', value: stringMatcher(match) },
    invertMatch: invert ?? false,
    treatMissingHeaderAsEmpty: invert ?? false,
  });
}

export function queryMatcher({ name, match }: NamedMatch): QueryParameterMatcher {
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier:
      'present' in match
        ? { case: 'presentMatch', value: true }
        : { case: 'stringMatch', value: stringMatcher(match) },
  });
}
