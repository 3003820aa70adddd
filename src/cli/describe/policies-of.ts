import type { ConfigObject } from '../../config/object.ts';
import { holdsLabels } from '../../kit/labels.ts';
import type { Model } from '../../model/model.ts';
import { objectsOfKind } from '../../model/model-objects.ts';
import { isGatewayTarget, isTargeted, type PolicySpec, targetsOf } from '../../plan/policy-scope.ts';

/** A workload as policies choose it. */
export interface Chosen {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** It is the proxy of a gateway. */
  readonly isRouter: boolean;
}

/** A policy and why it is one of the asked-for. */
export interface Policy {
  readonly object: ConfigObject;
  readonly says: string;
}

interface Spec extends PolicySpec {
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
}

const selecting: readonly string[] = [
  'security.istio.io/PeerAuthentication',
  'security.istio.io/RequestAuthentication',
  'security.istio.io/AuthorizationPolicy',
  'telemetry.istio.io/Telemetry',
  'networking.istio.io/Sidecar',
  'networking.istio.io/ProxyConfig',
  'networking.istio.io/EnvoyFilter',
  'extensions.istio.io/WasmPlugin',
  'extensions.istio.io/TrafficExtension',
];

/** Policies that are attached to a Service by reference, beside those that choose workloads. */
const attached: readonly string[] = [
  'gateway.networking.k8s.io/BackendTLSPolicy',
  'gateway.networking.x-k8s.io/XBackendTrafficPolicy',
];

/** By this label a proxy serves a Gateway of the Gateway API. */
const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

/** Objects that are for a workload: by its labels, by its Gateway, or for everything of its namespace or of the mesh. */
export function policiesOf(model: Model, workload: Chosen): Policy[] {
  return selecting.flatMap((kind) => policiesOfKind(model, kind, workload));
}

export function policiesOfKind(model: Model, kind: string, workload: Chosen): Policy[] {
  return [...objectsOfKind<ConfigObject>(model.objects, kind)].flatMap((object): Policy[] => {
    const says = whyChosen(object, workload, model.mesh.rootNamespace);
    return says === undefined ? [] : [{ object, says }];
  });
}

function whyChosen(object: ConfigObject, workload: Chosen, rootNamespace: string): string | undefined {
  const spec = (object.spec ?? {}) as Spec;
  const { namespace } = object.metadata;
  if (isTargeted(spec)) {
    const gateway = workload.labels[gatewayNameLabel];
    const isMeant =
      workload.isRouter &&
      namespace === workload.namespace &&
      targetsOf(spec).some((target) => isGatewayTarget(target) && target.name === gateway);
    return isMeant ? `attached to Gateway ${gateway}` : undefined;
  }
  if (namespace !== workload.namespace && namespace !== rootNamespace) return undefined;
  const selector = spec.selector?.matchLabels ?? spec.workloadSelector?.labels;
  if (!holdsLabels(workload.labels, selector ?? {})) return undefined;
  if (selector)
    return `selects ${Object.entries(selector)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')}`;
  return namespace === rootNamespace ? 'the whole mesh' : 'its namespace';
}

/** What is attached to a Service by reference. */
export function attachedTo(model: Model, namespace: string, name: string): Policy[] {
  return [...attached, ...selecting].flatMap((kind) =>
    [...objectsOfKind<ConfigObject>(model.objects, kind)].flatMap((object): Policy[] => {
      const isMeant = targetsOf((object.spec ?? {}) as Spec).some(
        (target) =>
          target.kind === 'Service' &&
          target.name === name &&
          (target.namespace ?? object.metadata.namespace) === namespace,
      );
      if (!isMeant) return [];
      return [
        {
          object,
          says: attached.includes(kind)
            ? 'attached to it'
            : 'attached to it; only waypoints judge that, which there are none of: it does nothing',
        },
      ];
    }),
  );
}
