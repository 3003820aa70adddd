import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import type { DownstreamTls, FilterChainPlan } from '../../../plan/listener-plan.ts';
import { defineQuery } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

type Limits = Pick<DownstreamTls, 'minVersion' | 'cipherSuites' | 'ecdhCurves'>;

/** What workloads accept from each other. Curves are Envoy's there, as Istio has it. */
const meshLimits = defineQuery('mutual-tls.mesh-limits', (view): Limits => {
  const { minProtocolVersion, cipherSuites } = view.mesh('meshMTLS') ?? {};
  return {
    ...(typeof minProtocolVersion === 'string' ? { minVersion: minProtocolVersion } : {}),
    ...listed('cipherSuites', cipherSuites),
  };
});

/** All other TLS, of gateways' servers and of connections to destinations. */
const defaultLimits = defineQuery('mutual-tls.default-limits', (view): Limits => {
  const { cipherSuites, ecdhCurves } = view.mesh('tlsDefaults') ?? {};
  return { ...listed('cipherSuites', cipherSuites), ...listed('ecdhCurves', ecdhCurves) };
});

function listed(name: 'cipherSuites' | 'ecdhCurves', value: unknown): Limits {
  return Array.isArray(value) && value.length > 0 ? { [name]: value.map(String) } : {};
}

/** A server's own word goes before the mesh's. */
export function limitChain(view: View, chain: FilterChainPlan): void {
  const { tls } = chain;
  if (!tls) return;
  const isMesh = tls.certificates.some(({ type }) => type === 'mesh');
  chain.tls = { ...view.call(isMesh ? meshLimits : defaultLimits), ...tls };
}

export function limitCluster(view: View, plan: ClusterPlan): void {
  const { tls } = plan;
  if (tls?.type === 'mesh') {
    if (view.call(meshLimits).minVersion === 'TLSV1_3') plan.tls = { ...tls, newest: true };
  } else if (tls) plan.tls = { ...tls, ...view.call(defaultLimits) };
}
