import type { Authorizer } from '../../../plan/authorizer.ts';
import { type FilterChainPlan, type ListenerPlan, serverNameSlot } from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { fill, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { providerOf } from './providers.ts';
import {
  type AppliedPolicy,
  type AuthorizationPlan,
  appliedPolicy,
  authorizationPolicyKind,
  authorizationScope,
  authorizationSlot,
  policyOrigin,
} from './schema.ts';

/** Who comes in, from callers or through a gateway, is judged; what the application itself calls is not. */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  if (chain.direction === 'outbound' || leadsNowhere(chain)) return;
  const policies = view
    .call(authorizationScope.applied)
    .flatMap((key) => view.get(authorizationPolicyKind, key) ?? [])
    .map(appliedPolicy);
  const [first, ...others] = policies;
  if (!first) return;
  fill(
    chain,
    authorizationSlot,
    {
      policies,
      trustDomains: [view.mesh('trustDomain'), ...view.mesh('trustDomainAliases')],
      ...authorizersOf(view, policies),
      ...(chain.policyPort !== undefined ? { port: chain.policyPort } : {}),
    },
    policyOrigin(first, ''),
    others.map((policy) => policyOrigin(policy, '')),
  );
}

/** Envoy knows a connection's server name from its inspector alone: a policy that asks for it needs that, where TLS ends here. */
export function decorateListener(_: View, listener: ListenerPlan): void {
  for (const chain of listener.chains) {
    const asking = chain.tls
      ? read(chain, authorizationSlot)?.policies.find(({ rules }) =>
          rules.some(({ when = [] }) => when.some(({ key }) => key === 'connection.sni')),
        )
      : undefined;
    if (asking) fill(listener, serverNameSlot, true, policyOrigin(asking, ''));
  }
}

function leadsNowhere({ network }: FilterChainPlan): boolean {
  return network.type === 'tcp' && network.destinations.every(({ cluster }) => cluster === blackHoleCluster);
}

function authorizersOf(
  view: View,
  policies: readonly AppliedPolicy[],
): Pick<AuthorizationPlan, 'authorizers'> {
  const authorizers: Record<string, Authorizer> = {};
  for (const { action, provider = '' } of policies) {
    if (action !== 'CUSTOM') continue;
    const found = providerOf(view, provider);
    if (found.ok) authorizers[provider] = found.authorizer;
  }
  return Object.keys(authorizers).length > 0 ? { authorizers } : {};
}
