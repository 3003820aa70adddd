import { holdsLabels } from '../kit/labels.ts';
import type { Item } from './analyzer.ts';

export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly hostNetwork?: boolean;
  readonly nodeName?: string;
  readonly securityContext?: { readonly runAsUser?: number };
}

export interface Container {
  readonly name?: string;
  readonly image?: string;
  readonly ports?: readonly { readonly name?: string; readonly containerPort?: number }[];
  readonly env?: readonly { readonly name?: string; readonly value?: string }[];
  readonly securityContext?: { readonly runAsUser?: number };
}

export interface ServiceSpec {
  readonly type?: string;
  readonly clusterIP?: string;
  readonly selector?: Readonly<Record<string, string>>;
  readonly ports?: readonly ServicePort[];
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly protocol?: string;
  readonly appProtocol?: string;
}

export interface DeploymentSpec {
  readonly template?: {
    readonly metadata?: {
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    readonly spec?: PodSpec;
  };
}

/** Whether a Service sends to the pod: it selects something, in the pod's namespace, and the pod has those labels. */
export function selectsPod(service: Item<ServiceSpec>, pod: Item<unknown>): boolean {
  const { selector = {} } = service.spec;
  return (
    service.namespace === pod.namespace &&
    Object.keys(selector).length > 0 &&
    holdsLabels(pod.labels, selector)
  );
}

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');
}

/** Sidecars are containers, or init containers that restart. */
export function proxyContainer({ containers = [], initContainers = [] }: PodSpec): Container | undefined {
  return [...containers, ...initContainers].find(({ name }) => name === 'istio-proxy');
}
