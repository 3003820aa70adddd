import { equals } from '@bufbuild/protobuf';
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RouteMatch,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { MetadataMatcherSchema } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { headerMatches, queryParameterMatches, regexMatches } from './match-text.ts';

/**
 * Whether every request that `inner` matches is matched by `outer` too. True is certain; false means that it is not or that it
 * cannot be told (two different regular expressions).
 */
export function covers(outer: RouteMatch, inner: RouteMatch): boolean {
  if ((outer.runtimeFraction?.defaultValue?.numerator ?? 1) === 0) return false;
  if (outer.runtimeFraction && !isWhole(outer)) return false;
  return (
    pathCovers(outer, inner) &&
    outer.headers.every((matcher) => inner.headers.some((other) => headerCovers(matcher, other))) &&
    outer.queryParameters.every((matcher) =>
      inner.queryParameters.some((other) => queryCovers(matcher, other)),
    ) &&
    outer.dynamicMetadata.every((matcher) =>
      inner.dynamicMetadata.some((other) => equals(MetadataMatcherSchema, matcher, other)),
    )
  );
}

function isWhole({ runtimeFraction }: RouteMatch): boolean {
  const { numerator = 0, denominator = 0 } = runtimeFraction?.defaultValue ?? {};
  return numerator >= ([100, 10_000, 1_000_000][denominator] ?? 100);
}

function pathCovers(outer: RouteMatch, inner: RouteMatch): boolean {
  const [own, other] = [outer.pathSpecifier, inner.pathSpecifier];
  if (other.case === 'connectMatcher' || own.case === 'connectMatcher') return own.case === other.case;
  const anyCase = outer.caseSensitive === false;
  // What is matched in any case is more than one that insists takes; the root is the same in every case.
  if (inner.caseSensitive === false && !anyCase && !(own.case === 'prefix' && own.value === '/'))
    return false;
  const fold = (text: string) => (anyCase ? text.toLowerCase() : text);
  if (own.case === 'safeRegex') {
    const { regex } = own.value;
    if (regex === '.*' || regex === '/.*') return true;
    if (other.case === 'path' && inner.caseSensitive !== false) return regexMatches(regex, other.value);
    return other.case === 'safeRegex' && other.value.regex === regex;
  }
  if (own.case === 'prefix' && own.value === '/') return true;
  if (own.case === undefined || other.case === undefined || other.case === 'safeRegex') return false;
  if (typeof own.value !== 'string' || typeof other.value !== 'string') return false;
  const [prefix, text] = [fold(own.value), fold(other.value)];
  switch (own.case) {
    case 'prefix':
      return text.startsWith(prefix);
    case 'path':
      return other.case === 'path' && text === prefix;
    case 'pathSeparatedPrefix':
      if (text.startsWith(`${prefix}/`)) return true;
      return text === prefix && other.case !== 'prefix';
    default:
      return false;
  }
}

function headerCovers(outer: HeaderMatcher, inner: HeaderMatcher): boolean {
  if (outer.name.toLowerCase() !== inner.name.toLowerCase()) return false;
  if (equals(HeaderMatcherSchema, outer, inner)) return true;
  const exact = exactHeader(inner);
  if (exact !== undefined) return headerMatches(outer, exact);
  const spec = outer.headerMatchSpecifier;
  const present = spec.case === undefined || (spec.case === 'presentMatch' && spec.value);
  // Whatever asks for a value asks for presence.
  if (present && !outer.invertMatch) return !inner.invertMatch && needsValue(inner);
  const [own, other] = [textOf(outer), textOf(inner)];
  return own !== undefined && other !== undefined && textCovers(own, other);
}

function needsValue({ headerMatchSpecifier: spec, treatMissingHeaderAsEmpty }: HeaderMatcher): boolean {
  if (spec.case === 'presentMatch') return spec.value;
  return spec.case !== undefined && !treatMissingHeaderAsEmpty;
}

function exactHeader({ headerMatchSpecifier: spec, invertMatch }: HeaderMatcher): string | undefined {
  if (invertMatch) return undefined;
  if (spec.case === 'exactMatch') return spec.value;
  if (spec.case !== 'stringMatch' || spec.value.ignoreCase) return undefined;
  return spec.value.matchPattern.case === 'exact' ? spec.value.matchPattern.value : undefined;
}

function textOf({ headerMatchSpecifier: spec, invertMatch }: HeaderMatcher): StringMatcher | undefined {
  return spec.case === 'stringMatch' && !invertMatch ? spec.value : undefined;
}

function textCovers(outer: StringMatcher, inner: StringMatcher): boolean {
  if (outer.ignoreCase !== inner.ignoreCase) return false;
  const [own, other] = [outer.matchPattern, inner.matchPattern];
  if (own.case === 'safeRegex') return own.value.regex === '.*';
  if (own.case === 'prefix' && other.case === 'prefix') return other.value.startsWith(own.value);
  if (own.case === 'suffix' && other.case === 'suffix') return other.value.endsWith(own.value);
  return false;
}

function queryCovers(outer: QueryParameterMatcher, inner: QueryParameterMatcher): boolean {
  if (outer.name !== inner.name) return false;
  if (equals(QueryParameterMatcherSchema, outer, inner)) return true;
  const [own, other] = [outer.queryParameterMatchSpecifier, inner.queryParameterMatchSpecifier];
  if (other.case === 'stringMatch' && other.value.matchPattern.case === 'exact' && !other.value.ignoreCase)
    return queryParameterMatches(outer, other.value.matchPattern.value);
  return own.case === 'presentMatch' && own.value && other.case === 'stringMatch';
}
