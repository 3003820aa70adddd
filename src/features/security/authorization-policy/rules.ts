import { create } from '@bufbuild/protobuf';
import type {
  AuthorizationPolicyRulesToOperation as Operation,
  AuthorizationPolicyRulesFromSource as Source,
} from '../../../../gen/crd/types/istio/authorization-policy.ts';
import {
  MetadataSource,
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
} from '../../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { UriTemplateMatchConfigSchema } from '../../../../gen/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import type { MetadataMatcher } from '../../../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { cidrRange } from '../../../envoy/address.ts';
import { pack } from '../../../envoy/pack.ts';
import { claimMatcher, eitherValue, metadataMatcher, textValue } from '../../../envoy/value-matcher.ts';
import {
  authenticated,
  claimValues,
  filterStateValue,
  headerMatcher,
  namespaceMatcher,
  principalMatcher,
  requestPrincipal,
  serviceAccountMatcher,
  textMatcher,
  trustDomainMatcher,
} from './matchers.ts';
import type { Rule } from './schema.ts';
import { withAliases } from './trust-domains.ts';

/** What the values of a rule mean where it is used. */
export interface RuleContext {
  /** Requests have paths and headers, connections do not. */
  readonly http: boolean;
  /** What becomes of what cannot be known: an ALLOW never matches, a DENY ignores the field. */
  readonly unknown: 'never' | 'ignored';
  /** Tokens were not looked at yet: nothing is known of them. */
  readonly beforeTokens?: boolean;
  readonly trustDomains: readonly string[];
  /** The policy's. */
  readonly namespace: string;
  /** The port that is meant, where the connection's own is an allocated one. */
  readonly port?: number;
}

const never = Symbol('a field that cannot be known here');

/** One field: at least one of the values, and none of the others. */
interface Field<T> {
  readonly values: readonly string[] | undefined;
  readonly notValues: readonly string[] | undefined;
  readonly httpOnly?: boolean;
  /** Asks about a token, which is HTTP only too. */
  readonly token?: boolean;
  /** One matcher for all values. */
  readonly matcher: (values: readonly string[]) => T;
}

type Builder<T> = { readonly not: (inner: T) => T; readonly any: T; readonly all: (parts: T[]) => T };

function permission(rule: Permission['rule']): Permission {
  return create(PermissionSchema, { rule });
}

function principal(identifier: Principal['identifier']): Principal {
  return create(PrincipalSchema, { identifier });
}

const permissions: Builder<Permission> = {
  not: (inner) => permission({ case: 'notRule', value: inner }),
  any: permission({ case: 'any', value: true }),
  all: (parts) =>
    permission({
      case: 'andRules',
      value: { $typeName: 'envoy.config.rbac.v3.Permission.Set', rules: parts },
    }),
};
const principals: Builder<Principal> = {
  not: (inner) => principal({ case: 'notId', value: inner }),
  any: principal({ case: 'any', value: true }),
  all: (parts) =>
    principal({ case: 'andIds', value: { $typeName: 'envoy.config.rbac.v3.Principal.Set', ids: parts } }),
};

function anyPermission(rules: Permission['rule'][]): Permission {
  const [only] = rules;
  if (only && rules.length === 1) return permission(only);
  return permission({
    case: 'orRules',
    value: { $typeName: 'envoy.config.rbac.v3.Permission.Set', rules: rules.map(permission) },
  });
}

function anyPrincipal(ids: Principal['identifier'][]): Principal {
  const [only] = ids;
  if (only && ids.length === 1) return principal(only);
  return principal({
    case: 'orIds',
    value: { $typeName: 'envoy.config.rbac.v3.Principal.Set', ids: ids.map(principal) },
  });
}

/** The fields' conjunction; `never` where it cannot hold. */
function join<T>(fields: readonly Field<T>[], context: RuleContext, builder: Builder<T>): T | typeof never {
  const parts: T[] = [];
  for (const { values = [], notValues = [], httpOnly, token, matcher } of fields) {
    if (values.length === 0 && notValues.length === 0) continue;
    if (((httpOnly || token) && !context.http) || (token && context.beforeTokens)) {
      if (context.unknown === 'never') return never;
      continue;
    }
    if (values.length > 0) parts.push(matcher(values));
    if (notValues.length > 0) parts.push(builder.not(matcher(notValues)));
  }
  const [only] = parts;
  if (only === undefined) return builder.any;
  return parts.length === 1 ? only : builder.all(parts);
}

function names(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  matcher: (value: string) => StringMatcher,
): Field<Principal> {
  return {
    values,
    notValues,
    matcher: (list) => anyPrincipal(list.map((value) => authenticated(matcher(value)))),
  };
}

function ranges(
  kind: 'directRemoteIp' | 'remoteIp',
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
): Field<Principal> {
  return {
    values,
    notValues,
    matcher: (list) => anyPrincipal(list.map((value) => ({ case: kind, value: cidrRange(value) }))),
  };
}

function fromToken(matcher: MetadataMatcher): Principal['identifier'] {
  return {
    case: 'sourcedMetadata',
    value: {
      $typeName: 'envoy.config.rbac.v3.SourcedMetadata',
      metadataMatcher: matcher,
      metadataSource: MetadataSource.DYNAMIC,
    },
  };
}

function requestPrincipals(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
): Field<Principal> {
  const both = (value: string): Principal['identifier'] => {
    const { issuer, subject } = requestPrincipal(value);
    return principals.all([
      principal(fromToken(claimMatcher(['iss'], textValue(issuer)))),
      principal(fromToken(claimMatcher(['sub'], textValue(subject)))),
    ]).identifier;
  };
  return { values, notValues, token: true, matcher: (list) => anyPrincipal(list.map(both)) };
}

function claims(path: readonly string[], when: Condition): Field<Principal> {
  return {
    ...when,
    token: true,
    matcher: (list) => principal(fromToken(claimMatcher(path, claimValues(list)))),
  };
}

function sourceFields(source: Source, context: RuleContext): Field<Principal>[] {
  const expand = (list: readonly string[] | undefined) => list && withAliases(list, context.trustDomains);
  const account = (value: string) => serviceAccountMatcher(value, context.namespace);
  return [
    names(expand(source.principals), expand(source.notPrincipals), principalMatcher),
    requestPrincipals(source.requestPrincipals, source.notRequestPrincipals),
    names(source.namespaces, source.notNamespaces, namespaceMatcher),
    names(source.serviceAccounts, source.notServiceAccounts, account),
    names(source.trustDomains, source.notTrustDomains, trustDomainMatcher),
    ranges('directRemoteIp', source.ipBlocks, source.notIpBlocks),
    ranges('remoteIp', source.remoteIpBlocks, source.notRemoteIpBlocks),
  ];
}

function headers(
  name: string,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
): Field<Permission> {
  const ignoreCase = name === ':authority';
  return {
    values,
    notValues,
    httpOnly: true,
    matcher: (list) =>
      anyPermission(list.map((value) => ({ case: 'header', value: headerMatcher(name, value, ignoreCase) }))),
  };
}

/** Paths are compared as they are after normalisation, without query and fragment. */
function pathRule(value: string): Permission['rule'] {
  if (!/\{\*\*?\}/.test(value))
    return {
      case: 'urlPath',
      value: {
        $typeName: 'envoy.type.matcher.v3.PathMatcher',
        rule: { case: 'path', value: textMatcher(value) },
      },
    };
  const pathTemplate = value.replaceAll('{**}', '**').replaceAll('{*}', '*');
  return {
    case: 'uriTemplate',
    value: {
      $typeName: 'envoy.config.core.v3.TypedExtensionConfig',
      name: 'uri-template',
      typedConfig: pack(UriTemplateMatchConfigSchema, { pathTemplate }),
    },
  };
}

function ports(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  context: RuleContext,
): Field<Permission> {
  const matcher = (list: readonly string[]): Permission => {
    if (context.port === undefined)
      return anyPermission(list.map((value) => ({ case: 'destinationPort', value: Number(value) })));
    return list.includes(String(context.port)) ? permissions.any : permissions.not(permissions.any);
  };
  return { values, notValues, matcher };
}

function operationFields(operation: Operation, context: RuleContext): Field<Permission>[] {
  return [
    headers(':authority', operation.hosts, operation.notHosts),
    headers(':method', operation.methods, operation.notMethods),
    {
      values: operation.paths,
      notValues: operation.notPaths,
      httpOnly: true,
      matcher: (list) => anyPermission(list.map(pathRule)),
    },
    ports(operation.ports, operation.notPorts, context),
  ];
}

interface Condition {
  readonly values: readonly string[] | undefined;
  readonly notValues: readonly string[] | undefined;
}

/** What a condition asks of the caller; undefined: it asks of the operation. */
function callerCondition(key: string, when: Condition, context: RuleContext): Field<Principal> | undefined {
  const { values, notValues } = when;
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined)
    return {
      ...when,
      httpOnly: true,
      matcher: (list) =>
        anyPrincipal(list.map((value) => ({ case: 'header', value: headerMatcher(header, value) }))),
    };
  const path = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key)?.[1];
  if (path !== undefined) return claims(path.slice(1, -1).split(']['), when);
  switch (key) {
    case 'source.ip':
      return ranges('directRemoteIp', values, notValues);
    case 'remote.ip':
      return ranges('remoteIp', values, notValues);
    case 'source.namespace':
      return names(values, notValues, namespaceMatcher);
    case 'source.principal': {
      const expand = (list: readonly string[] | undefined) => list && withAliases(list, context.trustDomains);
      return names(expand(values), expand(notValues), principalMatcher);
    }
    case 'source.serviceAccount':
      return names(values, notValues, (value) => serviceAccountMatcher(value, context.namespace));
    case 'source.trustDomain':
      return names(values, notValues, trustDomainMatcher);
    case 'request.auth.principal':
      return requestPrincipals(values, notValues);
    case 'request.auth.audiences':
      return claims(['aud'], when);
    case 'request.auth.presenter':
      return claims(['azp'], when);
    default:
      return undefined;
  }
}

/** What a condition asks of the operation; undefined: nobody knows the attribute. */
function operationCondition(
  key: string,
  when: Condition,
  context: RuleContext,
): Field<Permission> | undefined {
  const { values, notValues } = when;
  switch (key) {
    case 'destination.ip':
      return {
        ...when,
        matcher: (list) =>
          anyPermission(list.map((value) => ({ case: 'destinationIp', value: cidrRange(value) }))),
      };
    case 'destination.port':
      return ports(values, notValues, context);
    case 'connection.sni':
      return {
        ...when,
        matcher: (list) =>
          anyPermission(list.map((value) => ({ case: 'requestedServerName', value: textMatcher(value) }))),
      };
  }
  const [, filter, field] = /^experimental\.(envoy\.filters\.[^[]+)\[(.+)\]$/.exec(key) ?? [];
  if (filter === undefined || field === undefined) return undefined;
  return {
    ...when,
    matcher: (list) =>
      permission({
        case: 'sourcedMetadata',
        value: {
          $typeName: 'envoy.config.rbac.v3.SourcedMetadata',
          metadataMatcher: metadataMatcher(filter, [field], eitherValue(list.map(filterStateValue))),
          metadataSource: MetadataSource.DYNAMIC,
        },
      }),
  };
}

/** The rule as Envoy's policy; undefined: it never matches here. */
export function buildRule(rule: Rule, context: RuleContext): Policy | undefined {
  const ofCaller: Field<Principal>[] = [];
  const ofOperation: Field<Permission>[] = [];
  for (const { key, values, notValues } of rule.when ?? []) {
    const when = { values, notValues };
    const caller = callerCondition(key, when, context);
    const operation = caller ? undefined : operationCondition(key, when, context);
    if (caller) ofCaller.push(caller);
    else if (operation) ofOperation.push(operation);
    else if (context.unknown === 'never') return undefined;
  }
  const from = rule.from?.length ? rule.from : [{}];
  const to = rule.to?.length ? rule.to : [{}];
  const ids = from.map(({ source = {} }) =>
    join([...sourceFields(source, context), ...ofCaller], context, principals),
  );
  const rules = to.map(({ operation = {} }) =>
    join([...operationFields(operation, context), ...ofOperation], context, permissions),
  );
  if (ids.includes(never) || rules.includes(never)) return undefined;
  return create(PolicySchema, { principals: ids as Principal[], permissions: rules as Permission[] });
}
