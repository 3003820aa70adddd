import { create } from '@bufbuild/protobuf';
import type { Principal } from '../../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
} from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  type StringMatcher,
  StringMatcherSchema,
} from '../../../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { ValueMatcher } from '../../../../gen/proto/envoy/type/matcher/v3/value_pb.js';
import { listValue, textOrListValue, textValue } from '../../../envoy/value-matcher.ts';

type Pattern = StringMatcher['matchPattern'];

/** Text that a regular expression must take as it is. RE2 matches whole values here. */
function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

export function regexMatcher(regex: string): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex } } });
}

function pattern(value: string): Pattern {
  if (value.startsWith('*')) return { case: 'suffix', value: value.slice(1) };
  if (value.endsWith('*')) return { case: 'prefix', value: value.slice(0, -1) };
  return { case: 'exact', value };
}

export const anyText = regexMatcher('.+');

/** Istio's matches: `abc`, `abc*`, `*abc`, and `*` for anything but nothing. */
export function textMatcher(value: string, ignoreCase = false): StringMatcher {
  if (value === '*') return anyText;
  return create(StringMatcherSchema, { matchPattern: pattern(value), ignoreCase });
}

export function headerMatcher(name: string, value: string, ignoreCase = false): HeaderMatcher {
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier:
      value === '*'
        ? { case: 'presentMatch', value: true }
        : { case: 'stringMatch', value: textMatcher(value, ignoreCase) },
  });
}

/** The caller's identity as its certificate proves it. */
export function authenticated(principalName: StringMatcher): Principal['identifier'] {
  return {
    case: 'authenticated',
    value: { $typeName: 'envoy.config.rbac.v3.Principal.Authenticated', principalName },
  };
}

/**
 * A principal without its scheme. What the user wrote never becomes a pattern of ours: metacharacters of a suffix match are
 * escaped, or `*.sa/x` would admit more than it says.
 */
export function principalMatcher(value: string): StringMatcher {
  if (value === '*') return anyText;
  if (value.startsWith('*')) return regexMatcher(`spiffe://.*${escaped(value.slice(1))}`);
  return textMatcher(`spiffe://${value}`);
}

/** One path segment of an identity, where `*` at either end stands for any text within it. */
function segment(value: string): string {
  if (value === '*') return '[^/]*';
  if (value.startsWith('*')) return `[^/]*${escaped(value.slice(1))}`;
  if (value.endsWith('*')) return `${escaped(value.slice(0, -1))}[^/]*`;
  return escaped(value);
}

export function namespaceMatcher(value: string): StringMatcher {
  return regexMatcher(`spiffe://[^/]+/ns/${segment(value)}/.*`);
}

export function trustDomainMatcher(value: string): StringMatcher {
  if (!value.includes('*')) return textMatcher(`spiffe://${value}/*`);
  return regexMatcher(`spiffe://${segment(value)}/.*`);
}

/** `namespace/account`, or `account` of the policy's own namespace. Identities may carry more between and behind. */
export function serviceAccountMatcher(value: string, policyNamespace: string): StringMatcher {
  const slash = value.indexOf('/');
  const namespace = slash < 0 ? policyNamespace : value.slice(0, slash);
  const account = value.slice(slash + 1);
  return regexMatcher(`spiffe://[^/]+/ns/${escaped(namespace)}/(.+/)?sa/${escaped(account)}(/.+)?`);
}

/** A claim may be one text or a list of them. */
export function claimValues(values: readonly string[]): ValueMatcher {
  return textOrListValue(values.map((value) => textMatcher(value)));
}

/** `[value]` asks for a member of a list, `value` for the value itself. */
export function filterStateValue(value: string): ValueMatcher {
  if (value.startsWith('[') && value.endsWith(']'))
    return listValue(textValue(textMatcher(value.slice(1, -1))));
  return textValue(textMatcher(value));
}

/** Issuer and subject of `issuer/subject`: the last slash parts them, an issuer may be a URL. */
export function requestPrincipal(value: string): { issuer: StringMatcher; subject: StringMatcher } {
  const slash = value.lastIndexOf('/');
  if (slash >= 0 && value !== '*') {
    const [issuer, subject] = [value.slice(0, slash), value.slice(slash + 1)];
    // Only the end that the whole pattern has its star at is a pattern.
    if (value.startsWith('*')) return { issuer: textMatcher(issuer), subject: exactly(subject) };
    if (value.endsWith('*')) return { issuer: exactly(issuer), subject: textMatcher(subject) };
    return { issuer: exactly(issuer), subject: exactly(subject) };
  }
  if (value.startsWith('*')) return { issuer: anyText, subject: textMatcher(value) };
  if (value.endsWith('*')) return { issuer: textMatcher(value), subject: anyText };
  return { issuer: exactly(value), subject: exactly('') };
}

function exactly(value: string): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: { case: 'exact', value } });
}
