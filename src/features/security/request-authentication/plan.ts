import type { Origin } from '../../../config/origin.ts';
import { compareText } from '../../../kit/maps.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { outboundCluster } from '../../../plan/names.ts';
import { serviceFor } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  fetchedKeysKey,
  fetchedKeysKind,
  type JwtProvider,
  type JwtRule,
  jwtProvidersSlot,
  keySourceOf,
  type PlannedKeys,
  requestAuthenticationKind,
  requestAuthenticationScope,
  ruleOrigin,
} from './schema.ts';
import { usableKeys } from './usable-keys.ts';

/** Why keys are missing is no matter of the proxies: only the keys themselves are read here. */
const fetchedKeys = defineQuery(
  'request-authentication.keys',
  (view, key: Key): string | undefined => view.get(fetchedKeysKind, key)?.keys,
);

/** Tokens are looked at where calls come in; what the application itself calls is not. */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  if (chain.direction === 'outbound' || chain.network.type !== 'http') return;
  const providers = view.call(requestAuthenticationScope.applied).flatMap((key) => {
    const object = view.get(requestAuthenticationKind, key);
    return (object?.spec?.jwtRules ?? []).map((rule, index): JwtProvider => {
      const origin = ruleOrigin(object as NonNullable<typeof object>, `spec.jwtRules[${index}]`);
      return { name: providerName(origin, index), rule, keys: keysFor(view, rule), origin };
    });
  });
  const sorted = providers.sort((a, b) => compareText(a.rule.issuer ?? '', b.rule.issuer ?? ''));
  const [first, ...others] = sorted;
  if (first)
    fill(
      chain,
      jwtProvidersSlot,
      sorted,
      first.origin,
      others.map(({ origin }) => origin),
    );
}

function providerName({ namespace, name }: Origin, index: number): string {
  return `ns[${namespace}]-request-authentication[${name}]-rule[${index}]`;
}

function keysFor(view: View, rule: JwtRule): PlannedKeys {
  const source = keySourceOf(rule);
  if (source.type === 'inline') return local(source.keys);
  if (source.type === 'url') {
    const cluster = clusterOf(view, source.url);
    if (cluster !== undefined) return { type: 'service', url: source.url, cluster };
  }
  return local(view.call(fetchedKeys, fetchedKeysKey(source) ?? ''));
}

function local(text: string | undefined): PlannedKeys {
  const keys = text === undefined ? undefined : usableKeys(text);
  return keys === undefined ? { type: 'none' } : { type: 'local', keys };
}

/** The cluster of the mesh's own service that a URL leads to; undefined: the URL leads out of the mesh. */
function clusterOf(view: View, url: string): string | undefined {
  const host = meshHosts(view, url).find((name) => view.call(serviceFor, name) !== '');
  return host === undefined ? undefined : outboundCluster(placeOf(url)?.port ?? 80, '', host);
}

/** What the host of a URL could be called in the mesh. */
export function meshHosts(view: View, url: string): string[] {
  const place = placeOf(url);
  const suffix = view.mesh('domainSuffix');
  return place ? [place.host, `${place.host}.svc.${suffix}`, `${place.host}.${suffix}`] : [];
}

/** Host and port of a URL over HTTP; what is fetched over HTTPS is fetched by the control plane, which checks the certificate. */
function placeOf(url: string): { readonly host: string; readonly port: number } | undefined {
  const [, host = '', port] = /^http:\/\/(?:[^/@]*@)?([^/:?#[\]]+)(?::(\d+))?(?:[/?#]|$)/.exec(url) ?? [];
  return host === '' ? undefined : { host: host.toLowerCase(), port: Number(port ?? 80) };
}
