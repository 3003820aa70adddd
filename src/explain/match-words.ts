import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RouteMatch,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { Call } from '../simulate/call.ts';
import { headerMatches, queryParameterMatches, regexMatches } from '../simulate/match-text.ts';

/** The conditions of a route in plain words, such as `path begins with /api and header end-user is "jason"`; '' for none. */
export function matchWords(match: RouteMatch | undefined): string {
  return match
    ? conditionsOf(match)
        .map(({ words }) => words)
        .join(' and ')
    : '';
}

/** The first condition of a route that a request does not meet, with what the request has instead; undefined where all hold. */
export function whyMissed(match: RouteMatch | undefined, call: Call): string | undefined {
  if (!match) return 'it matches nothing';
  const failed = conditionsOf(match).find(({ holds }) => !holds(call));
  return failed?.subject(call);
}

interface Condition {
  readonly words: string;
  readonly holds: (call: Call) => boolean;
  /** What the request has. */
  readonly subject: (call: Call) => string;
}

function conditionsOf(match: RouteMatch): Condition[] {
  return [
    ...pathCondition(match),
    ...match.headers.map(headerCondition),
    ...match.queryParameters.map(queryCondition),
    ...match.dynamicMetadata.map(({ path }) =>
      claimCondition(path.flatMap(({ segment }) => (segment.case === 'key' ? segment.value : []))),
    ),
  ];
}

function pathOf(call: Call): string {
  return (call.path ?? '/').replace(/[?#].*$/, '');
}

function pathCondition(match: RouteMatch): Condition[] {
  const { pathSpecifier: spec } = match;
  const sensitive = match.caseSensitive ?? true;
  const fold = (text: string): string => (sensitive ? text : text.toLowerCase());
  const subject = (call: Call) => `the path is ${pathOf(call)}`;
  const about = (wanted: string, holds: (path: string) => boolean): Condition => ({
    words: `path ${wanted}`,
    holds: (call) => holds(fold(pathOf(call))),
    subject,
  });
  switch (spec.case) {
    case 'prefix':
      return spec.value === '/'
        ? []
        : [about(`begins with ${spec.value}`, (path) => path.startsWith(fold(spec.value)))];
    case 'path':
      return [about(`is ${spec.value}`, (path) => path === fold(spec.value))];
    case 'safeRegex':
      return [about(`matches ${spec.value.regex}`, (path) => regexMatches(spec.value.regex, path))];
    case 'pathSeparatedPrefix':
      return [
        about(
          `is ${spec.value} or below`,
          (path) => path === fold(spec.value) || path.startsWith(`${fold(spec.value)}/`),
        ),
      ];
    case 'connectMatcher':
      return [
        {
          words: 'the method is CONNECT',
          holds: ({ method }) => method === 'CONNECT',
          subject: ({ method = 'GET' }) => `the method is ${method}`,
        },
      ];
    default:
      return [];
  }
}

const pseudoHeaders: Readonly<Record<string, { name: string; of: (call: Call) => string | undefined }>> = {
  ':method': { name: 'the method', of: ({ method = 'GET' }) => method },
  ':authority': { name: 'the host', of: ({ host }) => host },
  ':scheme': { name: 'the scheme', of: ({ tls }) => (tls === 'plaintext' ? 'http' : 'https') },
  ':path': { name: 'the path', of: ({ path }) => path },
};

function headerCondition(matcher: HeaderMatcher): Condition {
  const pseudo = pseudoHeaders[matcher.name];
  const name = pseudo?.name ?? `header ${matcher.name}`;
  const askedValue = (call: Call) => (pseudo ? pseudo.of(call) : call.headers?.[matcher.name.toLowerCase()]);
  const { headerMatchSpecifier: spec, invertMatch } = matcher;
  const present = spec.case === undefined || spec.case === 'presentMatch';
  const wantsPresence = spec.case === 'presentMatch' ? spec.value !== invertMatch : !invertMatch;
  const test = present
    ? `${wantsPresence ? 'is' : 'is not'} there`
    : `${invertMatch ? 'not ' : ''}${spec.case === 'stringMatch' ? stringWords(spec.value) : valueWords(spec)}`;
  return {
    words: `${name} ${test}`,
    holds: (call) => headerMatches(matcher, askedValue(call)),
    subject(call) {
      const value = askedValue(call);
      return value === undefined ? `the request has no ${name}` : `${name} is ${JSON.stringify(value)}`;
    },
  };
}

/** The older forms, of which people's EnvoyFilters are full. */
function valueWords(spec: HeaderMatcher['headerMatchSpecifier']): string {
  switch (spec.case) {
    case 'exactMatch':
      return `is ${JSON.stringify(spec.value)}`;
    case 'prefixMatch':
      return `begins with ${JSON.stringify(spec.value)}`;
    case 'suffixMatch':
      return `ends with ${JSON.stringify(spec.value)}`;
    case 'containsMatch':
      return `contains ${JSON.stringify(spec.value)}`;
    case 'safeRegexMatch':
      return `matches ${spec.value.regex}`;
    case 'rangeMatch':
      return `is a number from ${spec.value.start} to ${spec.value.end}`;
    default:
      return 'is something';
  }
}

function stringWords({ matchPattern: pattern, ignoreCase }: StringMatcher): string {
  const anyCase = ignoreCase ? ' in any case' : '';
  switch (pattern.case) {
    case 'exact':
      return `is ${JSON.stringify(pattern.value)}${anyCase}`;
    case 'prefix':
      return `begins with ${JSON.stringify(pattern.value)}${anyCase}`;
    case 'suffix':
      return `ends with ${JSON.stringify(pattern.value)}${anyCase}`;
    case 'contains':
      return `contains ${JSON.stringify(pattern.value)}${anyCase}`;
    case 'safeRegex':
      return `matches ${pattern.value.regex}`;
    default:
      return 'is something';
  }
}

function queryCondition(matcher: QueryParameterMatcher): Condition {
  const { queryParameterMatchSpecifier: spec, name } = matcher;
  const test = spec.case === 'stringMatch' ? stringWords(spec.value) : 'is there';
  const askedValue = ({ path = '/' }: Call) => {
    const at = path.indexOf('?');
    return new URLSearchParams(at < 0 ? '' : path.slice(at + 1)).get(name) ?? undefined;
  };
  return {
    words: `query parameter ${name} ${test}`,
    holds: (call) => queryParameterMatches(matcher, askedValue(call)),
    subject(call) {
      const value = askedValue(call);
      return value === undefined
        ? `the request has no query parameter ${name}`
        : `query parameter ${name} is ${JSON.stringify(value)}`;
    },
  };
}

/** Claims are judged by the walk, which verifies the token: whoever got here with a miss has no such claim. */
function claimCondition(path: readonly string[]): Condition {
  const name = path.filter((part) => part !== 'jwt_payload').join('.');
  return {
    words: `the token's claim ${name} is as wanted`,
    holds: ({ claims }) => claims !== undefined,
    subject: () => `the token's claim ${name} is another one or absent`,
  };
}
