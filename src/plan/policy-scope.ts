import { type ConfigObject, splitKey } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import { defineQuery, type Key, type Query } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex, type Index, type KindToken } from '../snapshot/world.ts';
import { inNamespace, proxyNamespace, proxyType } from './attributes.ts';
import type { Problem } from './feature.ts';

/** What every policy that chooses its workloads has in common. */
export interface PolicySpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: TargetRef;
  readonly targetRefs?: readonly TargetRef[];
}

export interface TargetRef {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

/** The label by which a proxy serves a Gateway of the Gateway API. */
const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

/** Who applies, for policies of one kind. */
export interface PolicyScope {
  /** Every policy of the kind, under ''. */
  readonly all: Index;
  readonly byNamespace: Index;
  /** The keys of the policies that apply to the asking proxy: those of the root namespace first, then of its own. */
  readonly applied: Query<[], readonly Key[]>;
}

/** Whether a policy is attached to objects by reference, which goes before any selector. */
export function isTargeted(spec: PolicySpec): boolean {
  return targetsOf(spec).length > 0;
}

export function targetsOf({ targetRef, targetRefs = [] }: PolicySpec): readonly TargetRef[] {
  return targetRef ? [targetRef, ...targetRefs] : targetRefs;
}

/** Gateways of the policy's own namespace: what is attached elsewhere (services, classes) needs a waypoint. */
export function isGatewayTarget({ group, kind }: TargetRef): boolean {
  return kind === 'Gateway' && group === 'gateway.networking.k8s.io';
}

/** Whom a policy is for. */
interface Choice {
  readonly labels?: Readonly<Record<string, string>>;
  /** Names of Gateways in the policy's namespace. */
  readonly gateways?: readonly string[];
}

/**
 * Defines the scope of a kind; at module level only. Policies of the root namespace are for the whole mesh, others for their
 * namespace; a selector narrows both. Without any policy nothing of the proxy is read.
 */
export function definePolicyScope<S extends object>(
  name: string,
  kind: KindToken<ConfigObject<S>>,
): PolicyScope {
  const all = defineIndex(`${name}-policies`, kind, () => ['']);
  const byNamespace = defineIndex(`${name}-policies-by-namespace`, kind, (_, key) => [
    splitKey(key).namespace,
  ]);
  const choice = defineQuery(`${name}.choice`, (view, key: Key): Choice | undefined => {
    const object = view.get(kind, key);
    if (!object) return undefined;
    const spec = (object.spec ?? {}) as PolicySpec;
    if (isTargeted(spec))
      return {
        gateways: targetsOf(spec)
          .filter(isGatewayTarget)
          .map((target) => target.name),
      };
    return { labels: spec.selector?.matchLabels ?? {} };
  });
  const applied = defineQuery(`${name}.applied`, (view): readonly Key[] => {
    const keys = view.list(all, '');
    if (keys.length === 0) return [];
    const rootNamespace = view.mesh('rootNamespace');
    const candidates = [...view.list(byNamespace, rootNamespace)];
    if (keys.some((key) => splitKey(key).namespace !== rootNamespace)) {
      const namespace = view.attribute(proxyNamespace);
      if (namespace !== rootNamespace) candidates.push(...view.list(byNamespace, namespace));
    }
    return candidates.filter((key) => chosen(view, key, view.call(choice, key)));
  });
  return { all, byNamespace, applied };
}

function chosen(view: View, key: Key, choice: Choice | undefined): boolean {
  if (choice?.labels) return view.matches(choice.labels);
  return (choice?.gateways ?? []).some(
    (gateway) =>
      view.attribute(proxyType) === 'router' &&
      view.attribute(inNamespace(splitKey(key).namespace)) &&
      view.matches({ [gatewayNameLabel]: gateway }),
  );
}

/** What a policy is attached to in vain. */
export function targetProblems(spec: PolicySpec, origin: (path: string) => Origin): Problem[] {
  return targetsOf(spec).flatMap((target, index) => {
    if (isGatewayTarget(target)) return [];
    const path =
      spec.targetRef && index === 0
        ? 'spec.targetRef'
        : `spec.targetRefs[${index - (spec.targetRef ? 1 : 0)}]`;
    return [
      {
        origin: origin(path),
        code: 'NotActedOn',
        message: `${target.kind} ${target.name} is judged by no proxy of its own (a waypoint), so the policy does nothing there: name the workloads by a selector, or a Gateway`,
      },
    ];
  });
}
