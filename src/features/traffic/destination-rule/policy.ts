import type { DestinationRuleSubsetsTrafficPolicy } from '../../../../gen/crd/types/istio/destination-rule.ts';
import type { Origin } from '../../../config/origin.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type DestinationRule, destinationRuleKind, originIn, splitRules } from './rules.ts';

export type TrafficPolicy = DestinationRuleSubsetsTrafficPolicy;

/** Settings for one port replace these as a whole. */
const perPort = ['connectionPool', 'loadBalancer', 'outlierDetection', 'tls'] as const;
const parts = [...perPort, 'retryBudget', 'proxyProtocol', 'tunnel'] as const;
type Part = (typeof parts)[number];

/** What is in force for one cluster, and which object and field decided each part. */
export interface EffectivePolicy {
  readonly policy: Pick<TrafficPolicy, Part>;
  readonly origins: Readonly<Partial<Record<Part, Origin>>>;
}

interface Layers {
  readonly policy: Record<string, unknown>;
  readonly origins: Partial<Record<Part, Origin>>;
}

function put(to: Layers, part: Part, value: unknown, origin: Origin): void {
  to.policy[part] = value;
  to.origins[part] = origin;
}

/** The rule's own parts, else the subset's over them; settings for the port replace both and inherit nothing. */
function overlay(to: Layers, rule: DestinationRule, policy: TrafficPolicy, path: string, port: Key): void {
  for (const part of parts)
    if (policy[part] !== undefined) put(to, part, policy[part], originIn(rule, `${path}.${part}`));
  const index = policy.portLevelSettings?.findIndex(({ port: p }) => String(p?.number) === port) ?? -1;
  const settings = policy.portLevelSettings?.[index];
  if (!settings) return;
  for (const part of perPort) {
    delete to.policy[part];
    delete to.origins[part];
    if (settings[part] !== undefined)
      put(to, part, settings[part], originIn(rule, `${path}.portLevelSettings[${index}].${part}`));
  }
}

/**
 * What rules (comma-separated keys, see destinationRuleFor) and the mesh say for one port and subset. Of several rules for one host
 * the first with a policy decides, and the first that defines the subset.
 * @see https://istio.io/latest/docs/reference/config/networking/destination-rule/#TrafficPolicy
 */
const policyOf = defineQuery(
  'destination-rule.policy',
  (view, rules: Key, port: Key, subset: Key): EffectivePolicy | undefined => {
    const found: Layers = { policy: {}, origins: {} };
    const all = splitRules(rules).flatMap((key) => view.get(destinationRuleKind, key) ?? []);
    const first = all.find((rule) => rule.spec?.trafficPolicy);
    if (first?.spec?.trafficPolicy)
      overlay(found, first, first.spec.trafficPolicy, 'spec.trafficPolicy', port);
    const owner = subset && all.find((rule) => rule.spec?.subsets?.some(({ name }) => name === subset));
    if (owner) {
      const index = owner.spec?.subsets?.findIndex(({ name }) => name === subset) ?? 0;
      const policy = owner.spec?.subsets?.[index]?.trafficPolicy;
      if (policy) overlay(found, owner, policy, `spec.subsets[${index}].trafficPolicy`, port);
    }
    const defaults = (view.mesh('defaultTrafficPolicy') ?? {}) as TrafficPolicy;
    for (const part of ['connectionPool', 'outlierDetection'] as const)
      if (found.policy[part] === undefined && defaults[part])
        put(found, part, defaults[part], meshOrigin(`defaultTrafficPolicy.${part}`));
    return Object.keys(found.policy).length > 0 ? (found as EffectivePolicy) : undefined;
  },
);

export function meshOrigin(path: string): Origin {
  return { kind: 'MeshConfig', namespace: '', name: 'mesh', path };
}

/** The policy in force; undefined where nobody says anything. Most clusters ask nothing further than one mesh setting. */
export function policyFor(view: View, rules: Key, port: Key, subset: Key): EffectivePolicy | undefined {
  if (rules === '' && view.mesh('defaultTrafficPolicy') === null) return undefined;
  return view.call(policyOf, rules, port, subset);
}
