import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { targetProblems } from '../../../plan/policy-scope.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { meshHosts } from './plan.ts';
import {
  fetchedKeysKey,
  fetchedKeysKind,
  type JwtRule,
  keySourceOf,
  type RequestAuthentication,
  ruleOrigin,
} from './schema.ts';
import { usableKeys } from './usable-keys.ts';

/** Keys that are missing or useless: tokens of that issuer are refused. */
export function requestAuthenticationProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'RequestAuthentication') return [];
  const policy = object as RequestAuthentication;
  const problems = targetProblems(policy.spec ?? {}, (path) => ruleOrigin(policy, path));
  for (const [index, rule] of (policy.spec?.jwtRules ?? []).entries()) {
    const found = keyProblem(view, rule);
    if (!found) continue;
    const origin = ruleOrigin(policy, `spec.jwtRules[${index}]${found.field}`);
    problems.push({ origin, code: found.code, message: found.message });
  }
  return problems;
}

function keyProblem(
  view: View,
  rule: JwtRule,
): { readonly field: string; readonly code: string; readonly message: string } | undefined {
  const source = keySourceOf(rule);
  if (source.type === 'inline')
    return usableKeys(source.keys) !== undefined
      ? undefined
      : {
          field: '.jwks',
          code: 'InvalidKeys',
          message:
            'holds no key that can verify a signature, so every token of this issuer is refused: give {"keys": [...]} with RSA, EC or Ed25519 keys',
        };
  if (source.type === 'url' && isInMesh(view, source.url)) return undefined;
  const fetched = view.get(fetchedKeysKind, fetchedKeysKey(source) ?? '');
  if (fetched?.problem === undefined) return undefined;
  const consequence = fetched.keys
    ? 'the keys of the last fetch stay in use'
    : 'every token of this issuer is refused';
  return {
    field: source.type === 'url' ? '.jwksUri' : '.issuer',
    code: 'KeysUnavailable',
    message: `the keys cannot be fetched: ${fetched.problem}; ${consequence}`,
  };
}

/** Proxies fetch there themselves. */
function isInMesh(view: View, url: string): boolean {
  return meshHosts(view, url).some((host) => view.list(servicesByHost, host).length > 0);
}
