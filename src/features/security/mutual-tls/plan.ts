import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import { clusterSni } from '../../../plan/names.ts';
import { read } from '../../../plan/slot.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { meshTlsNamesSlot, tlsChoiceSlot } from '../../traffic/destination-rule/schema.ts';
import { endpointTls, hasEndpoints } from './schema.ts';

/** The identities that a service's endpoints may prove: those it names, else those of its endpoints' service accounts. */
const identitiesOf = defineQuery('mutual-tls.identities', (view, service: Key): readonly string[] => {
  const named = view.get(serviceKind, service)?.subjectAltNames ?? [];
  if (named.length > 0) return [...named].sort();
  const accounts = new Set<string>();
  for (const endpoint of view.get(endpointsKind, service)?.endpoints ?? [])
    if (endpoint.tlsMode === 'istio')
      accounts.add(`ns/${endpoint.namespace}/sa/${endpoint.serviceAccount || 'default'}`);
  const domains = [view.mesh('trustDomain'), ...view.mesh('trustDomainAliases')];
  return [...accounts].sort().flatMap((account) => domains.map((domain) => `spiffe://${domain}/${account}`));
});

/**
 * mTLS wherever the other end takes it, unless a DestinationRule chose otherwise. Between sidecars HTTP always travels as HTTP/2:
 * both ends are ours, and it costs a third less CPU than HTTP/1.1.
 */
export function decorateCluster(view: View, plan: ClusterPlan): void {
  const { service } = plan;
  if (plan.direction !== 'outbound' || !service || plan.discovery.type === 'dynamic-dns') return;
  const choice = read(plan, tlsChoiceSlot);
  if (choice === 'none' || choice === 'origination') return;
  if (choice === undefined && !view.mesh('enableAutoMtls')) return;
  const key = `${service.namespace}/${service.hostname}`;
  const port = String(service.port);
  const endpoints = choice === 'mesh' ? 'mesh' : view.call(endpointTls, key, port);
  if (endpoints === 'plain') return;
  // The endpoints of a captured address carry no marks: all of them are known to take mTLS, or none gets it.
  if (plan.discovery.type === 'original-destination' && choice === undefined) {
    if (endpoints === 'mixed' || !view.call(hasEndpoints, key, port)) return;
  }
  const names = read(plan, meshTlsNamesSlot);
  plan.tls = {
    type: 'mesh',
    everyEndpoint: endpoints === 'mesh',
    sni: names?.sni || clusterSni(service.port, service.subset, service.hostname),
    identities: names?.identities.length ? names.identities : view.call(identitiesOf, key),
    trustDomains: [view.mesh('trustDomain'), ...view.mesh('trustDomainAliases')],
  };
  if (endpoints === 'mesh' && plan.protocol === 'http1') plan.protocol = 'http2';
}
