import { splitKey } from '../../../config/object.ts';
import { proxyNamespace } from '../../../plan/attributes.ts';
import { type FilterChainPlan, type ListenerPlan, serverNameSlot } from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { fill, read } from '../../../plan/slot.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  allAuthorizationPolicies,
  appliedPolicy,
  authorizationPolicyKind,
  authorizationSlot,
  isTargeted,
  policiesByNamespace,
  policyOrigin,
} from './schema.ts';

/** The labels that a policy selects; undefined: it selects no workload. */
const selectorOf = defineQuery(
  'authorization.selector',
  (view, key: Key): Readonly<Record<string, string>> | undefined => {
    const object = view.get(authorizationPolicyKind, key);
    return object && !isTargeted(object) ? (object.spec?.selector?.matchLabels ?? {}) : undefined;
  },
);

/**
 * The policies that apply to the asking proxy: those of the root namespace and of its own that select it. Without any policy
 * nothing of the proxy is read, without one outside the root namespace not its namespace.
 */
const appliedKeys = defineQuery('authorization.applied', (view): readonly Key[] => {
  const all = view.list(allAuthorizationPolicies, '');
  if (all.length === 0) return [];
  const rootNamespace = view.mesh('rootNamespace');
  const candidates = [...view.list(policiesByNamespace, rootNamespace)];
  if (all.some((key) => splitKey(key).namespace !== rootNamespace)) {
    const namespace = view.attribute(proxyNamespace);
    if (namespace !== rootNamespace) candidates.push(...view.list(policiesByNamespace, namespace));
  }
  return candidates.filter((key) => {
    const selector = view.call(selectorOf, key);
    return selector !== undefined && view.matches(selector);
  });
});

/** Who comes in, from callers or through a gateway, is judged; what the application itself calls is not. */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  if (chain.direction === 'outbound' || leadsNowhere(chain)) return;
  const policies = view
    .call(appliedKeys)
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
