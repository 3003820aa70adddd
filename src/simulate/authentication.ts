import type {
  JwtAuthentication,
  JwtProvider,
  JwtRequirement,
} from '../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { compareText } from '../kit/maps.ts';
import type { Call } from './call.ts';
import { isPreflight } from './cors.ts';
import { issuerOrigin } from './policy-names.ts';
import { routeMatches } from './route.ts';
import { checkToken, isForAudience, type TokenFailure, tokenFailures } from './token.ts';
import { answer, assume, decide, type Walk } from './walk.ts';

export const jwtFilter = 'envoy.filters.http.jwt_authn';

/** A provider's verdict, or a requirement's: `ok`, or why not. */
interface Verdict {
  readonly status: 'ok' | TokenFailure;
  /** Who said so. */
  readonly provider?: string;
}

/** Looks at the tokens of a request as the jwt_authn filter does. True: the request goes on. */
export function authenticate(walk: Walk, config: JwtAuthentication): boolean {
  if (config.bypassCorsPreflight && isPreflight(walk.call)) return true;
  const rule = config.rules.find(({ match }) => match && routeMatches(match, walk.call, walk.metadata));
  const requirement = requirementOf(config, rule?.requirementType);
  if (!requirement) return true;
  for (const provider of Object.values(config.providers)) withoutClaims(walk, provider);
  const before = walk.call;
  const { status, provider = '' } = judge(walk, config, requirement, before);
  const origin = issuerOrigin(provider);
  if (status === 'ok') {
    decide(
      walk,
      'authentication',
      provider,
      { verdict: 'allowed', why: provider === '' ? 'no token' : 'the token is valid' },
      origin,
    );
    return true;
  }
  decide(walk, 'authentication', provider, { verdict: 'refused', why: status }, origin);
  // A good token for others is a caller that is known and not let in.
  answer(
    walk,
    status === tokenFailures.audience ? 403 : 401,
    `jwt_authn_access_denied{${status.replaceAll(' ', '_')}}`,
  );
  return false;
}

function requirementOf(
  config: JwtAuthentication,
  type: JwtAuthentication['rules'][number]['requirementType'] | undefined,
): JwtRequirement | undefined {
  if (type?.case === 'requires') return type.value;
  return type?.case === 'requirementName' ? config.requirementMap[type.value] : undefined;
}

/** `call`: as it came, since each requirement looks at all tokens. */
function judge(walk: Walk, config: JwtAuthentication, { requiresType }: JwtRequirement, call: Call): Verdict {
  switch (requiresType.case) {
    case 'providerName':
      return ask(walk, requiresType.value, config.providers[requiresType.value], call);
    case 'requiresAny':
      return anyOf(walk, config, requiresType.value.requirements, call);
    case 'requiresAll': {
      let provider: string | undefined;
      for (const requirement of requiresType.value.requirements) {
        const verdict = judge(walk, config, requirement, call);
        if (verdict.status !== 'ok') return verdict;
        provider ??= verdict.provider;
      }
      return { status: 'ok', ...(provider === undefined ? {} : { provider }) };
    }
    case 'allowMissing':
    case 'allowMissingOrFailed':
    case undefined:
      return { status: 'ok' };
    default:
      assume(walk, `a token requirement that is not simulated (${requiresType.case}) holds`);
      return { status: 'ok' };
  }
}

/** One that holds is enough; tokens may be absent where that is said. The failure that says most is told. */
function anyOf(
  walk: Walk,
  config: JwtAuthentication,
  requirements: readonly JwtRequirement[],
  call: Call,
): Verdict {
  const cases = requirements.map(({ requiresType }) => requiresType.case);
  let failed: Verdict = { status: tokenFailures.missing };
  for (const requirement of requirements) {
    const { case: type } = requirement.requiresType;
    if (type === 'allowMissing' || type === 'allowMissingOrFailed') continue;
    const verdict = judge(walk, config, requirement, call);
    if (verdict.status === 'ok') return verdict;
    if (weight(verdict.status) > weight(failed.status)) failed = verdict;
  }
  if (cases.includes('allowMissingOrFailed')) return { status: 'ok' };
  return cases.includes('allowMissing') && failed.status === tokenFailures.missing
    ? { status: 'ok' }
    : failed;
}

function weight(status: Verdict['status']): number {
  if (status === tokenFailures.missing) return 0;
  return status === tokenFailures.issuer ? 1 : 2;
}

/** All tokens where the provider looks for them must be its own, and good. */
function ask(walk: Walk, name: string, provider: JwtProvider | undefined, call: Call): Verdict {
  if (!provider) return { status: tokenFailures.issuer, provider: name };
  withoutClaims(walk, provider);
  if (call.claims) {
    const { iss } = call.claims;
    if (provider.issuer !== '' && iss !== undefined && iss !== provider.issuer)
      return { status: tokenFailures.issuer, provider: name };
    if (call.claims.aud !== undefined && !isForAudience(call.claims.aud, provider.audiences))
      return { status: tokenFailures.audience, provider: name };
    // No token without its issuer passes where one is asked for.
    const issuer = iss === undefined && provider.issuer !== '' ? { iss: provider.issuer } : {};
    accept(walk, provider, { ...issuer, ...call.claims }, {});
    return { status: 'ok', provider: name };
  }
  const tokens = tokensFor(provider, call);
  if (tokens.length === 0) return { status: tokenFailures.missing, provider: name };
  for (const token of tokens) {
    const checked = checkToken(token.text, provider, walk.options);
    if (checked.failure) return { status: checked.failure, provider: name };
    if (checked.unverified) assume(walk, 'the signature of the token is good');
    accept(walk, provider, checked.claims ?? {}, token);
  }
  return { status: 'ok', provider: name };
}

/** What the provider writes into headers comes from tokens alone: whatever a client wrote there is gone. */
function withoutClaims(walk: Walk, { claimToHeaders, forwardPayloadHeader }: JwtProvider): void {
  const headers: Record<string, string> = { ...walk.call.headers };
  for (const { headerName } of claimToHeaders) delete headers[headerName.toLowerCase()];
  delete headers[forwardPayloadHeader.toLowerCase()];
  walk.call = { ...walk.call, headers };
}

interface FoundToken {
  readonly text: string;
  /** Where it was. */
  readonly header?: string;
  readonly parameter?: string;
}

function tokensFor({ fromHeaders, fromParams, fromCookies }: JwtProvider, call: Call): FoundToken[] {
  const usual = fromHeaders.length + fromParams.length + fromCookies.length === 0;
  const places = usual ? [{ name: 'authorization', valuePrefix: 'Bearer ' }] : fromHeaders;
  const parameters = usual ? ['access_token'] : fromParams;
  const found: FoundToken[] = places.flatMap(({ name, valuePrefix }) => {
    const header = name.toLowerCase();
    const value = call.headers?.[header];
    const at = value?.indexOf(valuePrefix) ?? -1;
    if (value === undefined || at < 0) return [];
    const text = value.slice(at + valuePrefix.length);
    return [{ text: valuePrefix === '' ? text : (/[\w.=-]+/.exec(text)?.[0] ?? ''), header }];
  });
  const query = new URLSearchParams(/\?([^#]*)/.exec(call.path ?? '')?.[1] ?? '');
  for (const name of parameters) {
    const text = query.get(name);
    if (text !== null) found.push({ text, parameter: name });
  }
  const cookies = new Map(
    (call.headers?.cookie ?? '').split(';').map((pair) => {
      const [name = '', ...value] = pair.trim().split('=');
      return [name, value.join('=')] as const;
    }),
  );
  for (const name of fromCookies) {
    const text = cookies.get(name);
    if (text !== undefined) found.push({ text });
  }
  return found;
}

/** What a good token leaves behind: its claims for policies and routes, in metadata and headers. */
function accept(
  walk: Walk,
  provider: JwtProvider,
  claims: Readonly<Record<string, unknown>>,
  { header, parameter }: Omit<FoundToken, 'text'>,
): void {
  if (provider.payloadInMetadata !== '')
    walk.metadata[jwtFilter] = {
      ...walk.metadata[jwtFilter],
      [provider.payloadInMetadata]: normalized(provider, claims),
    };
  const headers: Record<string, string> = { ...walk.call.headers };
  if (header !== undefined && !provider.forward) delete headers[header];
  for (const { headerName, claimName } of provider.claimToHeaders) {
    const value = claimName
      .split('.')
      .reduce<unknown>((found, key) => (found as Record<string, unknown> | undefined)?.[key], claims);
    addHeader(headers, headerName, claimText(value));
  }
  if (provider.forwardPayloadHeader !== '')
    addHeader(headers, provider.forwardPayloadHeader, encoded(claims));
  const { path } = walk.call;
  walk.call = {
    ...walk.call,
    headers,
    ...(path !== undefined && parameter !== undefined && !provider.forward
      ? { path: withoutParameter(path, parameter) }
      : {}),
  };
  if (provider.clearRouteCache) walk.routeIsStale = true;
}

/** Each good token adds a line of its own. */
function addHeader(headers: Record<string, string>, name: string, value: string): void {
  const key = name.toLowerCase();
  if (value !== '') headers[key] = headers[key] === undefined ? value : `${headers[key]},${value}`;
}

function claimText(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  return typeof value === 'object' && value !== null ? base64(value) : '';
}

/** Envoy writes what is left anew, sorted by name. */
function withoutParameter(path: string, name: string): string {
  const [, before = '', query = '', rest = ''] = /^([^?#]*)\??([^#]*)(.*)$/.exec(path) ?? [];
  const pairs = query.split('&').map((pair) => {
    const [key = '', ...value] = pair.split('=');
    return [key, value.join('=')] as const;
  });
  const left = pairs.filter(([key]) => key !== name && key !== '').sort(([a], [b]) => compareText(a, b));
  const text = left.map(([key, value]) => `${key}=${value}`).join('&');
  return before + (text === '' ? '' : `?${text}`) + rest;
}

function normalized(provider: JwtProvider, claims: Readonly<Record<string, unknown>>): unknown {
  const lists = provider.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [];
  return Object.fromEntries(
    Object.entries(claims).map(([name, value]) =>
      typeof value === 'string' && lists.includes(name)
        ? [name, value.split(' ').filter((part) => part !== '')]
        : [name, value],
    ),
  );
}

function base64(value: unknown): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))));
}

function encoded(claims: unknown): string {
  return base64(claims).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
