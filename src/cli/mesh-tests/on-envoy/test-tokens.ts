import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { selectsLabels } from '../../../kit/labels.ts';
import type { Model, ModelWorkload } from '../../../model/model.ts';
import { type ModelObject, objectsOfKind } from '../../../model/model-objects.ts';
import type { Message } from './send-request.ts';

/** The part of a RequestAuthentication's rule that says whose tokens count, and where they are looked for. */
interface TokenRule {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly jwks?: string;
  readonly fromHeaders?: readonly { readonly name: string; readonly prefix?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
}

interface Authentication {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly jwtRules?: readonly TokenRule[];
}

type Claims = Readonly<Record<string, unknown>>;

/** Tokens for a run: signed by a key that exists while it lasts, and that its proxies take for every issuer's beside their own. */
export interface TestTokens {
  /** The objects, with the key among those of each issuer. What would be fetched is not. */
  accepted(objects: readonly ModelObject[]): readonly ModelObject[];
  /** The request with a token of these claims, where the proxies of the workloads look for one. Issuer, audience and end are filled in. */
  carry(model: Model, workloads: readonly ModelWorkload[], message: Message, claims: Claims): Message;
}

const lastsSeconds = 600;

export function createTestTokens(): TestTokens {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = randomUUID();
  const own = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' };
  const sign = (claims: Claims): string => {
    const text = [{ alg: 'RS256', typ: 'JWT', kid }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
  };
  const withKey = (rule: TokenRule): object => {
    const { jwksUri: _, jwks_uri: __, ...kept } = rule as TokenRule & { jwksUri?: string; jwks_uri?: string };
    const keys = keysOf(rule.jwks);
    // Keys that no proxy could read stay as they are: nothing passes them.
    return keys ? { ...kept, jwks: JSON.stringify({ keys: [...keys, own] }) } : rule;
  };
  return {
    accepted: (objects) =>
      objects.map((one) => {
        if (one.object.kind !== 'RequestAuthentication') return one;
        const spec = (one.object.spec ?? {}) as Authentication;
        const jwtRules = (spec.jwtRules ?? []).map(withKey);
        return { ...one, object: { ...one.object, spec: { ...spec, jwtRules } } };
      }),
    carry(model, workloads, message, claims) {
      const rules = workloads.flatMap((at) => rulesFor(model, at));
      const rule = rules.find(({ issuer }) => claims.iss === undefined || issuer === claims.iss) ?? rules[0];
      if (!rule) return message;
      const now = Math.floor(Date.now() / 1000);
      const filled = {
        iss: rule.issuer,
        exp: now + lastsSeconds,
        ...(rule.audiences?.length ? { aud: rule.audiences[0] } : {}),
        ...claims,
      };
      return place(message, rule, sign(filled));
    },
  };
}

function keysOf(jwks: string | undefined): unknown[] | undefined {
  if (jwks === undefined || jwks === '') return [];
  try {
    const { keys } = JSON.parse(jwks) as { keys?: unknown };
    return Array.isArray(keys) ? keys : undefined;
  } catch {
    return undefined;
  }
}

function rulesFor(model: Model, { workload }: ModelWorkload): TokenRule[] {
  const all = [...objectsOfKind(model.objects, 'security.istio.io/RequestAuthentication')];
  return all.flatMap(({ metadata, spec }) => {
    const { selector = {}, jwtRules = [] } = (spec ?? {}) as Authentication;
    const near = [workload.namespace, model.mesh.rootNamespace].includes(metadata.namespace ?? 'default');
    return near && selectsLabels(selector, workload.labels) ? jwtRules : [];
  });
}

function place(
  message: Message,
  { fromHeaders, fromParams, fromCookies }: TokenRule,
  token: string,
): Message {
  const { headers, path } = message;
  const [header] = fromHeaders ?? [];
  const [param] = fromParams ?? [];
  const [cookie] = fromCookies ?? [];
  if (header)
    return {
      ...message,
      headers: { ...headers, [header.name.toLowerCase()]: `${header.prefix ?? ''}${token}` },
    };
  if (param !== undefined)
    return {
      ...message,
      path: `${path}${path.includes('?') ? '&' : '?'}${encodeURIComponent(param)}=${token}`,
    };
  if (cookie !== undefined) return { ...message, headers: { ...headers, cookie: `${cookie}=${token}` } };
  return { ...message, headers: { ...headers, authorization: `Bearer ${token}` } };
}
