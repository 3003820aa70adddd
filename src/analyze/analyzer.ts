import type { Issue } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import type { ObjectPositions } from '../config/source-map.ts';
import type { MessageCode } from './message-codes.ts';

/** An object to look at, where it stands, and the cluster that it came from where there are several. */
export interface SourceObject {
  readonly object: ConfigObject;
  readonly positions?: ObjectPositions;
  readonly cluster?: string;
}

/** An object as analyzers see it. `Spec` says which fields an analyzer reads; each may be absent. */
export interface Item<Spec = Readonly<Record<string, unknown>>> extends SourceObject {
  readonly kind: string;
  readonly name: string;
  /** Objects that name none are in `default`. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Empty where the object has none. */
  readonly spec: Spec;
}

/** What an analyzer may read, and where it tells what it found. */
export interface AnalysisView {
  readonly domainSuffix: string;
  readonly rootNamespace: string;
  /** Milliseconds since the epoch: certificates end. */
  readonly now: number;
  /** False: the objects do not say which workloads there are, so that none is found means nothing. */
  readonly workloadsKnown: boolean;
  /** What every installation of Istio has is there even if no object says so. */
  readonly assumeInstallation: boolean;
  /** The objects of a kind, written `Kind.group` (`Pod` in the core group), in a stable order. */
  all<Spec = Readonly<Record<string, unknown>>>(kind: string): readonly Item<Spec>[];
  /** The kinds of which there is an object. */
  readonly presentKinds: readonly string[];
  /** What schema and rules of its kind say of an object. */
  issuesOf(item: Item<unknown>): readonly Issue[];
  report(code: MessageCode, item: Item<unknown>, message: string, path?: string): void;
}

/** Looks at a set of objects. Pure: no clock, no I/O; never throws on purpose. */
export interface Analyzer {
  /** Istio's name for it, for `--analyzer`. */
  readonly name: string;
  /** The kinds that it reads. */
  readonly inputs: readonly string[];
  /** False: runs only where it is asked for by name. */
  readonly byDefault?: false;
  /** True: what it says of an object depends on that object alone, so that it can be said while the object is written. */
  readonly perObject?: true;
  /** True: an object in which a field has a wrong type is shown too. */
  readonly seesMalformed?: true;
  analyze(view: AnalysisView): void;
}

/** Kinds in the way `all` takes them. */
export const kinds = {
  authorizationPolicy: 'AuthorizationPolicy.security.istio.io',
  destinationRule: 'DestinationRule.networking.istio.io',
  envoyFilter: 'EnvoyFilter.networking.istio.io',
  gateway: 'Gateway.networking.istio.io',
  proxyConfig: 'ProxyConfig.networking.istio.io',
  requestAuthentication: 'RequestAuthentication.security.istio.io',
  serviceEntry: 'ServiceEntry.networking.istio.io',
  sidecar: 'Sidecar.networking.istio.io',
  telemetry: 'Telemetry.telemetry.istio.io',
  virtualService: 'VirtualService.networking.istio.io',
  wasmPlugin: 'WasmPlugin.extensions.istio.io',
  workloadEntry: 'WorkloadEntry.networking.istio.io',
  kubernetesGateway: 'Gateway.gateway.networking.k8s.io',
  httpRoute: 'HTTPRoute.gateway.networking.k8s.io',
  grpcRoute: 'GRPCRoute.gateway.networking.k8s.io',
  definition: 'CustomResourceDefinition.apiextensions.k8s.io',
  mutatingWebhook: 'MutatingWebhookConfiguration.admissionregistration.k8s.io',
  validatingWebhook: 'ValidatingWebhookConfiguration.admissionregistration.k8s.io',
  deployment: 'Deployment.apps',
  configMap: 'ConfigMap',
  namespace: 'Namespace',
  node: 'Node',
  pod: 'Pod',
  secret: 'Secret',
  service: 'Service',
} as const;

export function kindKey({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? kind : `${kind}.${apiVersion.slice(0, slash)}`;
}

export function displayName({ object }: SourceObject): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${object.kind} ${namespace}/${name}` : `${object.kind} ${name}`;
}
