import {
  type AuthorizationPolicy,
  appliedPolicy,
  policyOrigin,
} from '../features/security/authorization-policy/schema.ts';
import { holdsLabels } from '../kit/labels.ts';
import type { Model } from '../model/model.ts';
import { objectsOfKind } from '../model/model-objects.ts';
import { isGatewayTarget, type PolicySpec, targetsOf } from '../plan/policy-scope.ts';
import type { Step } from '../simulate/call.ts';
import type { DecidedBy } from './explanation.ts';
import type { Hop } from './hop.ts';
import { routeName } from './route-decisions.ts';
import { decidedBy } from './words.ts';

interface Nothing {
  readonly reason: string;
  /** A policy that makes the ALLOW rules count: what decides is that there is one. */
  readonly by?: DecidedBy;
}

/** A call is refused since ALLOW policies apply and no rule of theirs matches: the rule that came nearest, or the policy without any. */
export function noAllowRule(model: Model, hop: Hop, { alternatives }: Step): Nothing {
  const [nearest] = (alternatives?.() ?? [])
    .filter(({ origin }) => origin)
    .sort((a, b) => (a.failing ?? 0) - (b.failing ?? 0));
  if (nearest?.origin) {
    const by = decidedBy(model, { ...nearest.origin, path: '' });
    return {
      reason: `no ALLOW rule in force allows it; ${routeName(nearest.origin)} is nearest: it ${nearest.why}`,
      by,
    };
  }
  const without = policyWithoutRules(model, hop);
  return {
    reason: `no ALLOW rule allows it${without ? `: ${without.kind} ${without.name} has none, which refuses everything` : ''}`,
    ...(without ? { by: without } : {}),
  };
}

/** Such a policy leaves no trace in what a proxy is sent but that nothing is allowed. */
function policyWithoutRules(model: Model, { proxy }: Hop): DecidedBy | undefined {
  const spaces = [model.mesh.rootNamespace, proxy.namespace];
  const found = [
    ...objectsOfKind<AuthorizationPolicy>(model.objects, 'security.istio.io/AuthorizationPolicy'),
  ].filter((object) => {
    const { action, rules, dryRun, namespace } = appliedPolicy(object);
    const counts = action === 'ALLOW' && rules.length === 0 && !dryRun && spaces.includes(namespace);
    return counts && isFor(object.spec ?? {}, namespace, proxy);
  });
  // What is nearer to the workload is what its owner knows.
  const [first] = found.sort(
    (a, b) => spaces.indexOf(b.metadata.namespace ?? '') - spaces.indexOf(a.metadata.namespace ?? ''),
  );
  return first && decidedBy(model, policyOrigin(appliedPolicy(first), ''));
}

function isFor(spec: PolicySpec, namespace: string, { type, labels, namespace: own }: Hop['proxy']): boolean {
  const targets = targetsOf(spec);
  if (targets.length === 0) return holdsLabels(labels, spec.selector?.matchLabels ?? {});
  return targets.some(
    (target) =>
      isGatewayTarget(target) &&
      type === 'router' &&
      own === namespace &&
      labels['gateway.networking.k8s.io/gateway-name'] === target.name,
  );
}
