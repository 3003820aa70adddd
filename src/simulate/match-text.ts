import { RE2JS } from 're2js';
import type {
  HeaderMatcher,
  QueryParameterMatcher,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';

const compiled = new Map<string, RE2JS>();
const maxCompiled = 2000;

/** Envoy's regular expressions are RE2 and match the whole text. */
export function regexMatches(regex: string, text: string): boolean {
  return compiledRegex(regex).matches(text);
}

/** Compiled once, as long as there are not too many. */
export function compiledRegex(regex: string): RE2JS {
  let re = compiled.get(regex);
  if (!re) {
    if (compiled.size >= maxCompiled) compiled.clear();
    re = RE2JS.compile(regex);
    compiled.set(regex, re);
  }
  return re;
}

export function stringMatches(matcher: StringMatcher, text: string): boolean {
  const { matchPattern, ignoreCase } = matcher;
  const fold = (value: string): string => (ignoreCase ? value.toLowerCase() : value);
  switch (matchPattern.case) {
    case 'exact':
      return fold(text) === fold(matchPattern.value);
    case 'prefix':
      return fold(text).startsWith(fold(matchPattern.value));
    case 'suffix':
      return fold(text).endsWith(fold(matchPattern.value));
    case 'contains':
      return fold(text).includes(fold(matchPattern.value));
    case 'safeRegex':
      return regexMatches(matchPattern.value.regex, text);
    default:
      return false;
  }
}

/**
 * Envoy: an absent header fails every matcher but an inverted presence match, unless it is treated as empty; inversion applies
 * to the result of a present header (and, for presence, of an absent one).
 */
export function headerMatches(matcher: HeaderMatcher, value: string | undefined): boolean {
  const { headerMatchSpecifier: spec, invertMatch } = matcher;
  if (spec.case === undefined) return (value !== undefined) !== invertMatch;
  if (spec.case === 'presentMatch') return ((value !== undefined) === spec.value) !== invertMatch;
  const text = value ?? (matcher.treatMissingHeaderAsEmpty ? '' : undefined);
  if (text === undefined) return invertMatch;
  return headerValueMatches(spec, text) !== invertMatch;
}

function headerValueMatches(spec: HeaderMatcher['headerMatchSpecifier'], text: string): boolean {
  switch (spec.case) {
    case 'stringMatch':
      return stringMatches(spec.value, text);
    case 'exactMatch':
      return text === spec.value;
    case 'prefixMatch':
      return text.startsWith(spec.value);
    case 'suffixMatch':
      return text.endsWith(spec.value);
    case 'containsMatch':
      return text.includes(spec.value);
    case 'safeRegexMatch':
      return regexMatches(spec.value.regex, text);
    case 'rangeMatch': {
      const number = /^[+-]?\d+$/.test(text) ? BigInt(text) : undefined;
      return number !== undefined && number >= spec.value.start && number < spec.value.end;
    }
    default:
      return false;
  }
}

export function queryParameterMatches(matcher: QueryParameterMatcher, value: string | undefined): boolean {
  const { queryParameterMatchSpecifier: spec } = matcher;
  if (spec.case === 'presentMatch') return (value !== undefined) === spec.value;
  if (value === undefined) return false;
  return spec.case === 'stringMatch' ? stringMatches(spec.value, value) : true;
}
