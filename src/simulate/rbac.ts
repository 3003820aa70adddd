import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import {
  MetadataSource,
  type Permission,
  type Policy,
  type Principal,
  type RBAC,
  RBAC_Action,
  type SourcedMetadata,
} from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import type { HeaderMatcher } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { UriTemplateMatchConfigSchema } from '../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import type { PathMatcher } from '../../gen/proto/envoy/type/matcher/v3/path_pb.js';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import { compareText } from '../kit/maps.ts';
import { unpack } from './decoded-resources.ts';
import { type CallMetadata, metadataMatches } from './match-metadata.ts';
import { headerMatches, stringMatches } from './match-text.ts';

/** A request, or a connection, as Envoy's RBAC filters see it. */
export interface RbacFacts {
  /** Names in lower case, pseudo headers included; none for a connection. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The normalised path without query; undefined for a connection. */
  readonly path: string | undefined;
  readonly destinationIp: string;
  readonly destinationPort: number;
  readonly sni: string;
  /** URI of the peer's certificate; undefined without one. */
  readonly principal: string | undefined;
  readonly directRemoteIp: string;
  /** What is taken for the client's address. */
  readonly remoteIp: string;
  readonly metadata: CallMetadata;
  readonly routeMetadata?: CallMetadata;
  /** Told of conditions that are not known here; they do not hold. */
  readonly unknown?: (condition: string) => void;
}

/** Whether rules let a call pass. LOG rules always do. */
export function admits(rules: RBAC, facts: RbacFacts): boolean {
  const matched = matchedPolicies(rules, facts).length > 0;
  if (rules.action === RBAC_Action.ALLOW) return matched;
  return rules.action === RBAC_Action.DENY ? !matched : true;
}

/** All policies that match, sorted by name: Envoy looks at them in this order and names the first. */
export function matchedPolicies(rules: RBAC, facts: RbacFacts): string[] {
  return policiesInOrder(rules)
    .filter(([, policy]) => policyMatches(policy, facts))
    .map(([name]) => name);
}

/** The policy that Envoy names. */
export function effectivePolicy(rules: RBAC, facts: RbacFacts): string | undefined {
  return policiesInOrder(rules).find(([, policy]) => policyMatches(policy, facts))?.[0];
}

const inOrder = new WeakMap<RBAC, [string, Policy][]>();

export function policiesInOrder(rules: RBAC): readonly [string, Policy][] {
  let sorted = inOrder.get(rules);
  if (!sorted) {
    sorted = Object.entries(rules.policies).sort(([a], [b]) => compareText(a, b));
    inOrder.set(rules, sorted);
  }
  return sorted;
}

export function policyMatches(policy: Policy, facts: RbacFacts): boolean {
  if (policy.condition || policy.checkedCondition || policy.celConfig) {
    facts.unknown?.('CEL condition');
    return false;
  }
  return (
    policy.permissions.some((permission) => permits(permission, facts)) &&
    policy.principals.some((principal) => isPrincipal(principal, facts))
  );
}

export function permits({ rule }: Permission, facts: RbacFacts): boolean {
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
      return pathHolds(rule.value, facts);
    case 'uriTemplate':
      return templateHolds(rule.value.typedConfig, facts);
    case 'destinationIp':
      return inRange(rule.value, facts.destinationIp);
    case 'destinationPort':
      return rule.value === facts.destinationPort;
    case 'destinationPortRange':
      return facts.destinationPort >= rule.value.start && facts.destinationPort < rule.value.end;
    case 'requestedServerName':
      return stringMatches(rule.value, facts.sni);
    case 'metadata':
      return metadataMatches(rule.value, facts.metadata);
    case 'sourcedMetadata':
      return sourcedMetadataHolds(rule.value, facts);
    default:
      facts.unknown?.(`permission ${rule.case ?? 'without a rule'}`);
      return false;
  }
}

export function isPrincipal({ identifier }: Principal, facts: RbacFacts): boolean {
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
      return !principalName || stringMatches(principalName, facts.principal);
    }
    case 'sourceIp':
    case 'directRemoteIp':
      return inRange(identifier.value, facts.directRemoteIp);
    case 'remoteIp':
      return inRange(identifier.value, facts.remoteIp);
    case 'header':
      return headerHolds(identifier.value, facts);
    case 'urlPath':
      return pathHolds(identifier.value, facts);
    case 'metadata':
      return metadataMatches(identifier.value, facts.metadata);
    case 'sourcedMetadata':
      return sourcedMetadataHolds(identifier.value, facts);
    default:
      facts.unknown?.(`principal ${identifier.case ?? 'without an identifier'}`);
      return false;
  }
}

function headerHolds(matcher: HeaderMatcher, facts: RbacFacts): boolean {
  return headerMatches(matcher, facts.headers[matcher.name.toLowerCase()]);
}

function pathHolds({ rule }: PathMatcher, { path }: RbacFacts): boolean {
  return path !== undefined && rule.case === 'path' && stringMatches(rule.value, path);
}

/** What a path may be made of. @see https://www.rfc-editor.org/rfc/rfc3986#appendix-A */
const pathCharacters = "a-zA-Z0-9\\-._~%!$&'()+,;:@=";
const templates = new Map<string, RegExp>();
const maxTemplates = 2000;

/** `*` is a segment, `**` any number of characters. */
function templateHolds(config: Parameters<typeof unpack>[0], { path }: RbacFacts): boolean {
  const template = unpack(config, UriTemplateMatchConfigSchema)?.pathTemplate;
  if (template === undefined || path === undefined) return false;
  let regex = templates.get(template);
  if (!regex) {
    if (templates.size >= maxTemplates) templates.clear();
    regex = new RegExp(
      `^${template
        .split(/(\*\*|\*)/)
        .map(templatePart)
        .join('')}$`,
    );
    templates.set(template, regex);
  }
  return regex.test(path);
}

function templatePart(part: string): string {
  if (part === '**') return `[${pathCharacters}/]*`;
  return part === '*' ? `[${pathCharacters}]+` : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
}

function sourcedMetadataHolds(
  { metadataMatcher, metadataSource }: SourcedMetadata,
  facts: RbacFacts,
): boolean {
  const metadata = metadataSource === MetadataSource.ROUTE ? (facts.routeMetadata ?? {}) : facts.metadata;
  return metadataMatcher !== undefined && metadataMatches(metadataMatcher, metadata);
}

function inRange({ addressPrefix, prefixLen = 0 }: CidrRange, address: string): boolean {
  const [cidr, ip] = [parseCidr(`${addressPrefix}/${prefixLen}`), parseIp(address)];
  return cidr !== undefined && ip !== undefined && cidrContains(cidr, ip);
}
