import type { BackendTLSPolicySpec } from '../../../../../gen/crd/types/gateway-api/backend-tls-policy.ts';
import type { ConfigObject } from '../../../../config/object.ts';
import type { ObjectStatusPlan, PlannedCondition, StatusEntry } from '../../../../plan/object-status.ts';
import { defineQuery, type Key } from '../../../../snapshot/query.ts';
import type { View } from '../../../../snapshot/view.ts';
import { attachmentsOf } from '../attachments.ts';
import { backendTls, isConflicted, type TargetRef, targetService } from '../backend-tls.ts';
import {
  backendTlsPolicyKind,
  controllerName,
  group,
  ignoreAnnotation,
  namespaceOf,
  routesByBackend,
  splitId,
} from '../kinds.ts';
import type { Fault } from '../references.ts';
import { serviceByKey } from '../services.ts';
import { accepted, resolvedRefs } from './conditions.ts';

/** Istio's controller for what concerns services rather than Gateways. */
export const meshControllerName = 'istio.io/mesh-controller';
/** The API keeps no more ancestors than this. */
const mostAncestors = 16;

/** The Gateways whose routes lead to a service, `namespace/name` each. */
const gatewaysBehind = defineQuery('gateway-api.gateways-behind', (view, service: Key): readonly Key[] => {
  const routes = routesByBackend(view, service);
  const gateways = routes.flatMap((route) =>
    view
      .call(attachmentsOf, route)
      .flatMap(({ gateway, listeners }) => (gateway !== undefined && listeners.length > 0 ? [gateway] : [])),
  );
  return [...new Set(gateways)].sort();
});

type Policy = ConfigObject<BackendTLSPolicySpec>;

export function policyStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  const policy = view.get(backendTlsPolicyKind, key);
  if (!policy?.spec) return undefined;
  const namespace = namespaceOf(policy);
  const services = policy.spec.targetRefs.map((ref) => ({
    ref,
    conditions: conditionsOf(view, key, policy, ref),
  }));
  const gateways = new Map<Key, readonly PlannedCondition[]>();
  for (const { ref, conditions } of services)
    if (ref.kind === 'Service')
      for (const gateway of view.call(gatewaysBehind, `${namespace}/${ref.name}`))
        gateways.set(gateway, worse(gateways.get(gateway), conditions));
  const entries: StatusEntry[] = [
    ...[...gateways]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([gateway, conditions]) => {
        const { namespace: owner, name } = splitId(`Gateway/${gateway}`);
        return {
          controllerName,
          ancestorRef: { group, kind: 'Gateway', namespace: owner, name },
          conditions,
        };
      }),
    ...services.map(({ ref, conditions }) => ({
      controllerName: meshControllerName,
      ancestorRef: {
        group: ref.group,
        kind: ref.kind,
        name: ref.name,
        ...(ref.sectionName ? { sectionName: ref.sectionName } : {}),
      },
      conditions,
    })),
  ];
  return {
    shared: {
      field: 'ancestors',
      by: 'ancestorRef',
      controllers: [controllerName, meshControllerName],
      entries: entries.slice(0, mostAncestors),
    },
  };
}

/** Of two targets behind one Gateway the one with something wrong is told. */
function worse(
  a: readonly PlannedCondition[] | undefined,
  b: readonly PlannedCondition[],
): readonly PlannedCondition[] {
  return a?.some(({ status }) => status === 'False') ? a : b;
}

function conditionsOf(view: View, key: Key, policy: Policy, ref: TargetRef): PlannedCondition[] {
  if (policy.metadata.annotations?.[ignoreAnnotation] === 'true')
    return [
      accepted({
        reason: 'IgnoredByIstio',
        message: `the annotation ${ignoreAnnotation} asks to leave it alone`,
      }),
    ];
  const tls = view.call(backendTls, key);
  const [first] = tls?.errors ?? [];
  const target = targetError(view, namespaceOf(policy), ref);
  const conflict: Fault | undefined = isConflicted(view, key, ref)
    ? { reason: 'Conflicted', message: 'an older policy has the same target: it decides' }
    : undefined;
  const anchors: Fault | undefined = tls?.broken
    ? {
        reason: first?.reason === 'Invalid' ? 'Invalid' : 'NoValidCACertificate',
        message: first?.message ?? 'no certificate authority',
      }
    : undefined;
  const unresolved = first && first.reason !== 'Invalid' ? first : undefined;
  return [accepted(anchors ?? target ?? conflict), resolvedRefs(unresolved)];
}

function targetError(view: View, namespace: string, ref: TargetRef): Fault | undefined {
  const keys = targetService(view, namespace, ref);
  const what = `${ref.kind} ${namespace}/${ref.name}`;
  if (keys.length === 0) return { reason: 'TargetNotFound', message: `there is no ${what}` };
  if (!ref.sectionName) return undefined;
  return keys.some((service) =>
    serviceByKey(view, service)?.ports.some(({ name }) => name === ref.sectionName),
  )
    ? undefined
    : { reason: 'TargetNotFound', message: `${what} has no port named ${ref.sectionName}` };
}
