import type { BackendTLSPolicyTargetRefs } from '../../../../gen/crd/types/gateway-api/backend-tls-policy.ts';
import { splitKey } from '../../../config/object.ts';
import { compareText } from '../../../kit/maps.ts';
import { type ClusterPlan, slowWarmingSlot, type UpstreamTls } from '../../../plan/cluster-plan.ts';
import { findPort } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { systemAnchors } from '../../../plan/system-trust.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { tlsChoiceSlot } from '../destination-rule/schema.ts';
import { ownGateways } from './bound.ts';
import {
  ageOrder,
  allBackendTlsPolicies,
  backendTlsPolicyKind,
  gatewayKind,
  ignoreAnnotation,
  namespaceOf,
  originIn,
  type ParentId,
} from './kinds.ts';
import { type Fault, type Resolved, resolveCertificate, resolveTrust } from './references.ts';
import { hostOf, parentOfService, serviceByKey, serviceEntryHosts } from './services.ts';
import { certificateName, trustName } from './tls.ts';

export type TargetRef = BackendTLSPolicyTargetRefs;

function targetId(namespace: string, { kind, group, name }: TargetRef): ParentId | undefined {
  const known =
    (kind === 'Service' && group === '') || (kind === 'ServiceEntry' && group === 'networking.istio.io');
  return known ? `${kind}/${namespace}/${name}` : undefined;
}

/** `Service/namespace/name` or `ServiceEntry/namespace/name` → policies that name it. */
export const policiesByTarget = defineIndex(
  'gateway-api-policies-by-target',
  backendTlsPolicyKind,
  (policy) => (policy.spec?.targetRefs ?? []).flatMap((ref) => targetId(namespaceOf(policy), ref) ?? []),
);

/** Keys of the services that a target stands for; a ServiceEntry makes one per host. */
export function targetService(view: View, namespace: string, ref: TargetRef): readonly Key[] {
  const target = targetId(namespace, ref);
  if (target === undefined) return [];
  if (ref.kind === 'ServiceEntry') return view.call(serviceEntryHosts, `${namespace}/${ref.name}`);
  const key = `${namespace}/${hostOf(view, namespace, ref.name)}`;
  return serviceByKey(view, key) ? [key] : [];
}

/** What a policy says, as far as it can be had. */
export interface BackendTls {
  /** `ConfigMap/namespace/name`, …; empty: the system's. */
  readonly anchors: readonly Key[];
  readonly errors: readonly Fault[];
  /** No anchors: nothing may be sent. */
  readonly broken: boolean;
}

export const backendTls = defineQuery(
  'gateway-api.backend-tls',
  (view, policy: Key): BackendTls | undefined => {
    const object = view.get(backendTlsPolicyKind, policy);
    if (!object?.spec) return undefined;
    const { caCertificateRefs = [], wellKnownCACertificates } = object.spec.validation;
    if (caCertificateRefs.length === 0 && wellKnownCACertificates !== undefined)
      return wellKnownCACertificates === 'System'
        ? { anchors: [], errors: [], broken: false }
        : {
            anchors: [],
            errors: [
              {
                reason: 'Invalid',
                message: `well-known certificates ${wellKnownCACertificates} are unknown: System is known`,
              },
            ],
            broken: true,
          };
    const resolved = caCertificateRefs.map((ref) =>
      resolveTrust(view, { kind: 'BackendTLSPolicy', namespace: namespaceOf(object) }, ref, {
        kind: 'InvalidKind',
        invalid: 'InvalidCACertificateRef',
      }),
    );
    const anchors = resolved.flatMap((one) => (one.ok ? [one.value] : []));
    return {
      anchors,
      errors: resolved.flatMap((one) => (one.ok ? [] : [{ reason: one.reason, message: one.message }])),
      broken: anchors.length === 0,
    };
  },
);

const anyPolicy = defineQuery(
  'gateway-api.any-backend-tls',
  (view): boolean => view.list(allBackendTlsPolicies, '').length > 0,
);

interface Target {
  readonly policy: Key;
  readonly sectionName: string;
  readonly order: string;
}

const targetsOf = defineQuery('gateway-api.backend-tls-targets', (view, target: Key): readonly Target[] =>
  view
    .list(policiesByTarget, target)
    .flatMap((policy) => {
      const object = view.get(backendTlsPolicyKind, policy);
      if (!object || object.metadata.annotations?.[ignoreAnnotation] === 'true') return [];
      const refs =
        object.spec?.targetRefs.filter((ref) => targetId(namespaceOf(object), ref) === target) ?? [];
      return refs.map(({ sectionName = '' }) => ({ policy, sectionName, order: ageOrder(object) }));
    })
    .sort((a, b) => compareText(a.order, b.order)),
);

/** The policy for a service's port (by its name), '' for none: one that names the port before one for all, then the oldest. */
export const policyFor = defineQuery('gateway-api.policy-for', (view, target: Key, portName: Key): Key => {
  const targets = view.call(targetsOf, target);
  const own = targets.find(({ sectionName }) => sectionName !== '' && sectionName === portName);
  return (own ?? targets.find(({ sectionName }) => sectionName === ''))?.policy ?? '';
});

/** Whether an older policy has a target of the policy: it decides then. */
export function isConflicted(view: View, policy: Key, ref: TargetRef): boolean {
  const target = targetId(splitKey(policy).namespace, ref);
  if (target === undefined) return false;
  const same = view
    .call(targetsOf, target)
    .filter(({ sectionName }) => sectionName === (ref.sectionName ?? ''));
  return same[0] !== undefined && same[0].policy !== policy;
}

/** The certificate that a Gateway shows to its backends. */
export function clientCertificate(view: View, gateway: Key): Resolved<Key> | undefined {
  const object = view.get(gatewayKind, gateway);
  const ref = object?.spec?.tls?.backend?.clientCertificateRef;
  if (!object || !ref) return undefined;
  return resolveCertificate(
    view,
    { kind: 'Gateway', namespace: namespaceOf(object) },
    ref,
    'InvalidClientCertificateRef',
  );
}

/** TLS to the services that policies name, from every proxy; a DestinationRule's own TLS settings go first. */
export function decorateCluster(view: View, plan: ClusterPlan): void {
  const { service } = plan;
  if (plan.direction !== 'outbound' || !service) return;
  if (!view.call(anyPolicy)) return;
  const found = view.get(serviceKind, `${service.namespace}/${service.hostname}`);
  const target = found && parentOfService(found);
  if (!found || target === undefined || view.list(policiesByTarget, target).length === 0) return;
  const policy = view.call(policyFor, target, findPort(found, service.port)?.name ?? '');
  const spec = view.get(backendTlsPolicyKind, policy)?.spec;
  const tls = policy === '' ? undefined : view.call(backendTls, policy);
  if (!spec || !tls) return;
  const origin = originIn(`BackendTLSPolicy/${policy}`, 'spec.validation');
  fill(plan, tlsChoiceSlot, 'origination', origin);
  if (tls.broken) {
    // Without anchors nobody can be trusted, and in the clear nothing may go.
    plan.discovery = { type: 'nothing' };
    return;
  }
  // Nothing declares what the port speaks: the TLS handshake settles it.
  if (plan.protocol === 'http-auto') plan.protocol = 'http-alpn';
  const { hostname, subjectAltNames = [] } = spec.validation;
  const names = subjectAltNames.flatMap((name) => name.hostname ?? name.uri ?? []);
  plan.tls = {
    type: 'origination',
    sni: hostname,
    autoSni: false,
    subjectAltNames: names.length > 0 ? names : [hostname],
    trust: { type: 'secret', name: tls.anchors.length > 0 ? trustName(tls.anchors) : systemAnchors.name },
    ...clientOf(view),
  };
  fill(plan, slowWarmingSlot, true, origin);
}

function clientOf(view: View): { client?: NonNullable<(UpstreamTls & { type: 'origination' })['client']> } {
  for (const gateway of view.call(ownGateways)) {
    const certificate = clientCertificate(view, gateway);
    if (certificate?.ok) return { client: { type: 'secret', name: certificateName(certificate.value) } };
  }
  return {};
}
