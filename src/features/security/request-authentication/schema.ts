import type {
  RequestAuthenticationJwtRules,
  RequestAuthenticationSpec,
} from '../../../../gen/crd/types/istio/request-authentication.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { definePolicyScope } from '../../../plan/policy-scope.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineKindToken } from '../../../snapshot/world.ts';

export type RequestAuthentication = ConfigObject<RequestAuthenticationSpec>;
export type JwtRule = RequestAuthenticationJwtRules;

export const requestAuthenticationKind = configKind<RequestAuthenticationSpec>('RequestAuthentication');
export const requestAuthenticationScope = definePolicyScope(
  'request-authentication',
  requestAuthenticationKind,
);

/** What was fetched from a URL of keys, under that URL (or `discover ISSUER`). Written by whoever fetches. */
export interface FetchedKeys {
  /** A JSON Web Key Set as text: the last good one. */
  readonly keys?: string;
  /** Why there is none, or no newer one. */
  readonly problem?: string;
}

export const fetchedKeysKind = defineKindToken<FetchedKeys>('json-web-key-set');

/** Where the keys of a rule come from. */
export type KeySource =
  | { readonly type: 'inline'; readonly keys: string }
  | { readonly type: 'url'; readonly url: string }
  /** The issuer's discovery document names the URL. */
  | { readonly type: 'discovery'; readonly issuer: string };

export function keySourceOf(rule: JwtRule): KeySource {
  if (rule.jwks) return { type: 'inline', keys: rule.jwks };
  const url = rule.jwksUri || rule.jwks_uri;
  return url ? { type: 'url', url } : { type: 'discovery', issuer: rule.issuer ?? '' };
}

/** The name under which keys of a source are kept; undefined: they are in the rule. */
export function fetchedKeysKey(source: KeySource): string | undefined {
  if (source.type === 'inline') return undefined;
  return source.type === 'url' ? source.url : `discover ${source.issuer}`;
}

/** Where a proxy finds the keys. */
export type PlannedKeys =
  | { readonly type: 'local'; readonly keys: string }
  /** A service of the mesh, which only proxies can reach: the proxy fetches them there. */
  | { readonly type: 'service'; readonly url: string; readonly cluster: string }
  /** There are none (yet): no token of this issuer is valid. */
  | { readonly type: 'none' };

/** One issuer that a chain accepts tokens of. */
export interface JwtProvider {
  /** Unique in its chain. */
  readonly name: string;
  readonly rule: JwtRule;
  readonly keys: PlannedKeys;
  readonly origin: Origin;
}

/** Sorted by issuer. */
export const jwtProvidersSlot = defineSlot<readonly JwtProvider[]>('jwtProviders');

export function ruleOrigin({ metadata }: RequestAuthentication, path: string): Origin {
  return {
    kind: 'RequestAuthentication',
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    path,
  };
}
