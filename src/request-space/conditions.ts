import type { Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import type { HeaderValueOption } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  type Permission,
  PermissionSchema,
  type Principal,
  PrincipalSchema,
} from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import {
  FilterConfigSchema,
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RouteMatch,
  RouteMatchSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  type CorsPolicy,
  CorsPolicySchema,
} from '../../gen/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import {
  type JwtAuthentication,
  JwtAuthenticationSchema,
} from '../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import {
  RBACPerRouteSchema,
  RBACSchema,
} from '../../gen/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../gen/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import {
  type UriTemplateMatchConfig,
  UriTemplateMatchConfigSchema,
} from '../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import {
  type MetadataMatcher,
  MetadataMatcherSchema,
} from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import { type PathMatcher, PathMatcherSchema } from '../../gen/proto/envoy/type/matcher/v3/path_pb.js';
import type { ValueMatcher } from '../../gen/proto/envoy/type/matcher/v3/value_pb.js';
import { jwtFilter } from '../simulate/authentication.ts';
import { unpack } from '../simulate/decoded-resources.ts';
import {
  headerCondition,
  pathCondition,
  type TextCondition,
  templateCondition,
  textCondition,
} from './text-condition.ts';

/** What a configuration asks of a request or its sender, by what is asked about. */
export class Conditions {
  readonly paths = new Map<string, TextCondition>();
  readonly methods = new Map<string, TextCondition>();
  readonly authorities = new Map<string, TextCondition>();
  /** By name in lower case. */
  readonly headers = new Map<string, Map<string, TextCondition>>();
  readonly parameters = new Map<string, Map<string, TextCondition>>();
  /** Of tokens, by the way to the claim, joined with dots. */
  readonly claims = new Map<string, Map<string, TextCondition>>();
  readonly issuers = new Set<string>();
  /** That some issuer's rule accepts. */
  readonly audiences = new Set<string>();
  /** Of the server, that policies name. */
  readonly ports = new Set<number>();
  readonly identities = new Map<string, TextCondition>();
  /** Ranges of addresses. */
  readonly sources = new Map<string, CidrRange>();
  /** What cannot be enumerated, in words. */
  readonly unknown = new Set<string>();

  addAll(other: Conditions): void {
    merge(this.paths, other.paths);
    merge(this.methods, other.methods);
    merge(this.authorities, other.authorities);
    merge(this.identities, other.identities);
    merge(this.sources, other.sources);
    for (const kind of ['headers', 'parameters', 'claims'] as const)
      for (const [name, conditions] of other[kind]) merge(named(this[kind], name), conditions);
    for (const issuer of other.issuers) this.issuers.add(issuer);
    for (const audience of other.audiences) this.audiences.add(audience);
    for (const port of other.ports) this.ports.add(port);
    for (const what of other.unknown) this.unknown.add(what);
  }
}

function merge<T>(into: Map<string, T>, from: ReadonlyMap<string, T>): void {
  for (const [key, value] of from) into.set(key, value);
}

function named(map: Map<string, Map<string, TextCondition>>, name: string): Map<string, TextCondition> {
  let found = map.get(name);
  if (!found) {
    found = new Map();
    map.set(name, found);
  }
  return found;
}

const known = new WeakMap<object, Conditions>();

/** The conditions anywhere in a message, in what its Any fields hold too. Found once per message. */
export function conditionsIn(message: Message): Conditions {
  let found = known.get(message);
  if (!found) {
    found = new Conditions();
    visit(message, found);
    known.set(message, found);
  }
  return found;
}

type Visitor = (message: never, into: Conditions) => void;

const visitors: Readonly<Record<string, Visitor>> = {
  [RouteMatchSchema.typeName]: visitRouteMatch,
  [HeaderMatcherSchema.typeName]: visitHeader,
  [QueryParameterMatcherSchema.typeName]: visitParameter,
  [PathMatcherSchema.typeName]: visitPath,
  [UriTemplateMatchConfigSchema.typeName]: visitTemplate,
  [MetadataMatcherSchema.typeName]: visitMetadata,
  [PrincipalSchema.typeName]: visitPrincipal,
  [PermissionSchema.typeName]: visitPermission,
  [JwtAuthenticationSchema.typeName]: visitTokens,
  [CorsPolicySchema.typeName]: visitCors,
};

const packed: Readonly<Record<string, GenMessage<Message>>> = Object.fromEntries(
  [
    HttpConnectionManagerSchema,
    RBACSchema,
    RBACPerRouteSchema,
    NetworkRbacSchema,
    JwtAuthenticationSchema,
    HTTPFaultSchema,
    CorsPolicySchema,
    FilterConfigSchema,
    UriTemplateMatchConfigSchema,
  ].map((schema) => [schema.typeName, schema as GenMessage<Message>]),
);

function visit(value: unknown, into: Conditions): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (const item of value) visit(item, into);
    return;
  }
  const { $typeName: type } = value as { $typeName?: string };
  if (type === 'google.protobuf.Any') {
    const any = value as Any;
    const schema = packed[any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1)];
    if (schema) visit(unpack(any, schema), into);
    return;
  }
  if (type !== undefined) visitors[type]?.(value as never, into);
  visitChangedHeaders(value, into);
  for (const [field, inner] of Object.entries(value)) if (!undecided.has(field)) visit(inner, into);
}

/** Whoever gets the request sees what became of a header that was sent, and of one that was not. Proxies' own are theirs. */
function visitChangedHeaders(
  value: { requestHeadersToRemove?: readonly string[]; requestHeadersToAdd?: readonly HeaderValueOption[] },
  into: Conditions,
): void {
  const names = [
    ...(value.requestHeadersToRemove ?? []),
    ...(value.requestHeadersToAdd ?? []).flatMap(({ header }) => header?.key ?? []),
  ].map((name) => name.toLowerCase());
  for (const name of names)
    if (name !== 'host' && !/^(:|x-ostria-|x-envoy-)/.test(name)) named(into.headers, name);
}

/** Fields of a connection manager that decide nothing. */
const undecided: ReadonlySet<string> = new Set(['accessLog', 'accessLogOptions', 'tracing']);

function add(map: Map<string, TextCondition>, condition: TextCondition | undefined): void {
  if (condition) map.set(condition.key, condition);
}

function visitRouteMatch(match: RouteMatch, into: Conditions): void {
  if (match.pathSpecifier.case === 'connectMatcher')
    add(into.methods, textCondition({ case: 'exact', value: 'CONNECT' }, false));
  else add(into.paths, pathCondition(match));
}

function visitHeader(matcher: HeaderMatcher, into: Conditions): void {
  const name = matcher.name.toLowerCase();
  const condition = headerCondition(matcher);
  if (name === ':method') add(into.methods, condition);
  else if (name === ':authority' || name === 'host') add(into.authorities, condition);
  else if (name === ':path') into.unknown.add('a condition on the path with its query');
  else if (name !== ':scheme') {
    const own = named(into.headers, name);
    add(own, condition);
  }
}

function visitParameter(matcher: QueryParameterMatcher, into: Conditions): void {
  const own = named(into.parameters, matcher.name);
  const { queryParameterMatchSpecifier: spec } = matcher;
  if (spec.case === 'stringMatch') add(own, textCondition(spec.value.matchPattern, spec.value.ignoreCase));
}

function visitPath({ rule }: PathMatcher, into: Conditions): void {
  if (rule.case === 'path') add(into.paths, textCondition(rule.value.matchPattern, rule.value.ignoreCase));
}

function visitTemplate({ pathTemplate }: UriTemplateMatchConfig, into: Conditions): void {
  add(into.paths, templateCondition(pathTemplate));
}

/** Claims are under the key of the payload; other metadata comes from filters whose inputs are conditions of their own. */
function visitMetadata({ filter, path, value }: MetadataMatcher, into: Conditions): void {
  if (filter !== jwtFilter) return;
  const [, ...claim] = path.map(({ segment }) => segment.value ?? '');
  if (claim.length === 0) return;
  const own = named(into.claims, claim.join('.'));
  visitValue(value, own, into);
}

function visitValue(
  matcher: ValueMatcher | undefined,
  own: Map<string, TextCondition>,
  into: Conditions,
): void {
  const { matchPattern: pattern } = matcher ?? { matchPattern: { case: undefined } };
  if (pattern.case === 'stringMatch')
    add(own, textCondition(pattern.value.matchPattern, pattern.value.ignoreCase));
  else if (pattern.case === 'orMatch')
    for (const one of pattern.value.valueMatchers) visitValue(one, own, into);
  else if (pattern.case === 'listMatch') {
    const one = pattern.value.matchPattern;
    visitValue(one.case === 'oneOf' ? one.value : undefined, own, into);
  } else if (pattern.case !== undefined && pattern.case !== 'presentMatch')
    into.unknown.add(`a condition on a claim that is no text (${pattern.case})`);
}

function visitPermission({ rule }: Permission, into: Conditions): void {
  if (rule.case === 'destinationPort') into.ports.add(rule.value);
  else if (rule.case === 'destinationPortRange') into.ports.add(rule.value.start);
}

function visitPrincipal({ identifier }: Principal, into: Conditions): void {
  switch (identifier.case) {
    case 'authenticated': {
      const name = identifier.value.principalName;
      if (name) add(into.identities, textCondition(name.matchPattern, name.ignoreCase));
      return;
    }
    case 'directRemoteIp':
    case 'sourceIp':
    case 'remoteIp':
      into.sources.set(
        `${identifier.value.addressPrefix}/${identifier.value.prefixLen ?? 0}`,
        identifier.value,
      );
      return;
    default:
  }
}

function visitTokens({ providers }: JwtAuthentication, into: Conditions): void {
  for (const { issuer, audiences } of Object.values(providers)) {
    into.issuers.add(issuer);
    for (const audience of audiences) into.audiences.add(audience);
  }
}

/** A browser's question before the request. */
function visitCors({ allowOriginStringMatch }: CorsPolicy, into: Conditions): void {
  add(into.methods, textCondition({ case: 'exact', value: 'OPTIONS' }, false));
  const origins = named(into.headers, 'origin');
  for (const { matchPattern, ignoreCase } of allowOriginStringMatch)
    add(origins, textCondition(matchPattern, ignoreCase));
  add(origins, textCondition({ case: 'exact', value: '' }, false));
  add(
    named(into.headers, 'access-control-request-method'),
    textCondition({ case: 'exact', value: '' }, false),
  );
}
