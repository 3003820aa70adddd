import {
  type AppliedPolicy,
  type AuthorizationPolicy,
  appliedPolicy,
  policyOrigin,
} from '../features/security/authorization-policy/schema.ts';
import { holdsLabels } from '../kit/labels.ts';
import type { Model } from '../model/model.ts';
import { objectsOfKind } from '../model/model-objects.ts';
import { isGatewayTarget, type PolicySpec, targetsOf } from '../plan/policy-scope.ts';
import type { SimulationResult, Step } from '../simulate/call.ts';
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
export function noAllowRule(
  model: Model,
  hop: Hop,
  { alternatives }: Step,
  { routeConfig }: SimulationResult,
): Nothing {
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
  const [first] = traceless(model, hop, routeConfig !== undefined);
  if (!first) return { reason: 'no ALLOW rule allows it' };
  const by = decidedBy(model, policyOrigin(first, ''));
  const why =
    first.rules.length === 0
      ? 'has none, which refuses everything'
      : 'has rules about requests of HTTP only, and nothing but its bytes is known of this connection';
  return { reason: `no ALLOW rule allows it: ${by.kind} ${by.name} ${why}`, by };
}

/**
 * Policies that leave no trace in what a proxy is sent but that nothing is allowed: those without rules, and on ports that are not HTTP
 * those whose rules ask for what only requests have. What is nearer to the workload, which its owner knows, comes first.
 */
function traceless(model: Model, { proxy }: Hop, isHttp: boolean): AppliedPolicy[] {
  const spaces = [model.mesh.rootNamespace, proxy.namespace];
  return [...objectsOfKind<AuthorizationPolicy>(model.objects, 'security.istio.io/AuthorizationPolicy')]
    .filter(({ spec, metadata: { namespace = '' } }) => isFor(spec ?? {}, namespace, proxy))
    .map(appliedPolicy)
    .filter(({ action, dryRun, namespace }) => action === 'ALLOW' && !dryRun && spaces.includes(namespace))
    .filter(({ rules }) => rules.length === 0 || !isHttp)
    .sort(
      (a, b) =>
        Number(a.rules.length > 0) - Number(b.rules.length > 0) ||
        spaces.indexOf(b.namespace) - spaces.indexOf(a.namespace),
    );
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
