import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import type { Permission, Principal } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RouteMatch,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { UriTemplateMatchConfigSchema } from '../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import type { MetadataMatcher } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { ValueMatcher } from '../../gen/proto/envoy/type/matcher/v3/value_pb.js';
import { unpack } from './decoded-resources.ts';

/*
 * Matchers in words, as they complete "does not match …" or "is not …".
 */

export function textWords({ matchPattern, ignoreCase }: StringMatcher): string {
  const fold = ignoreCase ? ' (any case)' : '';
  switch (matchPattern.case) {
    case 'exact':
      return `"${matchPattern.value}"${fold}`;
    case 'prefix':
      return `"${matchPattern.value}*"${fold}`;
    case 'suffix':
      return `"*${matchPattern.value}"${fold}`;
    case 'contains':
      return `"*${matchPattern.value}*"${fold}`;
    case 'safeRegex':
      return `regex "${matchPattern.value.regex}"`;
    default:
      return 'a matcher that is not known';
  }
}

export function pathWords({ pathSpecifier, caseSensitive }: RouteMatch): string {
  const fold = caseSensitive === false ? ' (any case)' : '';
  switch (pathSpecifier.case) {
    case 'prefix':
      return `path prefix ${pathSpecifier.value}${fold}`;
    case 'path':
      return `path ${pathSpecifier.value}${fold}`;
    case 'pathSeparatedPrefix':
      return `path ${pathSpecifier.value} and below${fold}`;
    case 'safeRegex':
      return `path regex ${pathSpecifier.value.regex}`;
    case 'connectMatcher':
      return 'CONNECT requests';
    default:
      return 'no path';
  }
}

/** What a pseudo header is called by people. */
const headerNames: Readonly<Record<string, string>> = {
  ':method': 'method',
  ':authority': 'host',
  ':path': 'path',
  ':scheme': 'scheme',
};

export function headerName(name: string): string {
  return headerNames[name.toLowerCase()] ?? `header ${name.toLowerCase()}`;
}

export function headerWords(matcher: HeaderMatcher): string {
  const { headerMatchSpecifier: spec, invertMatch } = matcher;
  const not = invertMatch ? 'not ' : '';
  switch (spec.case) {
    case undefined:
      return `${not}present`;
    case 'presentMatch':
      return spec.value !== invertMatch ? 'present' : 'absent';
    case 'stringMatch':
      return not + textWords(spec.value);
    case 'exactMatch':
      return `${not}"${spec.value}"`;
    case 'prefixMatch':
      return `${not}"${spec.value}*"`;
    case 'suffixMatch':
      return `${not}"*${spec.value}"`;
    case 'containsMatch':
      return `${not}"*${spec.value}*"`;
    case 'safeRegexMatch':
      return `${not}regex "${spec.value.regex}"`;
    case 'rangeMatch':
      return `${not}a number from ${spec.value.start} to below ${spec.value.end}`;
    default:
      return 'a matcher that is not known';
  }
}

export function queryWords({ queryParameterMatchSpecifier: spec }: QueryParameterMatcher): string {
  if (spec.case === 'presentMatch') return spec.value ? 'present' : 'absent';
  return spec.case === 'stringMatch' ? textWords(spec.value) : 'present';
}

export function metadataWords({ path, value, invert }: MetadataMatcher): string {
  const names = path.flatMap(({ segment }) => (segment.case === 'key' ? [segment.value] : []));
  const [first, ...rest] = names;
  const what = first === 'payload' ? `token claim ${rest.join('.')}` : names.join('.');
  return `${what} ${invert ? 'not ' : ''}${value ? valueWords(value) : 'present'}`;
}

function valueWords({ matchPattern: pattern }: ValueMatcher): string {
  switch (pattern.case) {
    case 'stringMatch':
      return textWords(pattern.value);
    case 'orMatch':
      return [...new Set(pattern.value.valueMatchers.map(valueWords))].join(' or ');
    case 'listMatch':
      return pattern.value.matchPattern.case === 'oneOf'
        ? valueWords(pattern.value.matchPattern.value)
        : 'a list';
    case 'presentMatch':
      return pattern.value ? 'present' : 'absent';
    default:
      return String(pattern.value ?? '');
  }
}

function rangeWords({ addressPrefix, prefixLen = 0 }: CidrRange): string {
  return `${addressPrefix}/${prefixLen}`;
}

export function permissionWords({ rule }: Permission): string {
  switch (rule.case) {
    case 'any':
      return 'anything';
    case 'andRules':
      return rule.value.rules.map(permissionWords).join(' and ');
    case 'orRules':
      return together(rule.value.rules.map(permissionWords));
    case 'notRule':
      return `not (${permissionWords(rule.value)})`;
    case 'header':
      return `${headerName(rule.value.name)} ${headerWords(rule.value)}`;
    case 'urlPath':
      return `path ${rule.value.rule.case === 'path' ? textWords(rule.value.rule.value) : ''}`;
    case 'uriTemplate':
      return `path template "${unpack(rule.value.typedConfig, UriTemplateMatchConfigSchema)?.pathTemplate}"`;
    case 'destinationIp':
      return `destination address ${rangeWords(rule.value)}`;
    case 'destinationPort':
      return `port ${rule.value}`;
    case 'destinationPortRange':
      return `port ${rule.value.start} to below ${rule.value.end}`;
    case 'requestedServerName':
      return `server name ${textWords(rule.value)}`;
    case 'metadata':
      return metadataWords(rule.value);
    case 'sourcedMetadata':
      return rule.value.metadataMatcher ? metadataWords(rule.value.metadataMatcher) : 'metadata';
    default:
      return 'a condition that is not known';
  }
}

export function principalWords({ identifier }: Principal): string {
  switch (identifier.case) {
    case 'any':
      return 'anybody';
    case 'andIds':
      return identifier.value.ids.map(principalWords).join(' and ');
    case 'orIds':
      return together(identifier.value.ids.map(principalWords));
    case 'notId':
      return `not (${principalWords(identifier.value)})`;
    case 'authenticated':
      return `identity ${identifier.value.principalName ? identityWords(identifier.value.principalName) : 'proved by a certificate'}`;
    case 'sourceIp':
    case 'directRemoteIp':
      return `source address ${rangeWords(identifier.value)}`;
    case 'remoteIp':
      return `client address ${rangeWords(identifier.value)}`;
    case 'header':
      return `${headerName(identifier.value.name)} ${headerWords(identifier.value)}`;
    case 'urlPath':
      return `path ${identifier.value.rule.case === 'path' ? textWords(identifier.value.rule.value) : ''}`;
    case 'metadata':
      return metadataWords(identifier.value);
    case 'sourcedMetadata':
      return identifier.value.metadataMatcher ? metadataWords(identifier.value.metadataMatcher) : 'metadata';
    default:
      return 'a caller that is not known';
  }
}

/** Identities as users write them: without their scheme, patterns of ours taken back. */
function identityWords(matcher: StringMatcher): string {
  const { matchPattern: pattern } = matcher;
  if (pattern.case !== 'safeRegex') return textWords(matcher).replace('"spiffe://', '"');
  const { regex } = pattern.value;
  if (regex === '.+') return 'of any kind';
  const plain = regex
    .replace(/^spiffe:\/\//, '')
    .replaceAll('[^/]+', '*')
    .replaceAll('[^/]*', '*')
    .replaceAll('(.+/)?', '')
    .replaceAll('(/.+)?', '')
    .replaceAll('.*', '*')
    .replace(/\\(.)/g, '$1');
  return `"${plain}"`;
}

/** `path "/a" or path "/b"` says the attribute once. */
function together(parts: readonly string[]): string {
  const [first = '', ...others] = [...new Set(parts)];
  const attribute = /^[^"]*(?=")/.exec(first)?.[0] ?? '';
  const same = attribute !== '' && others.every((part) => part.startsWith(attribute));
  return [first, ...others.map((part) => (same ? part.slice(attribute.length) : part))].join(' or ');
}
