/**
 * A service that is asked about requests: what CUSTOM policies match (meshConfig.extensionProviders), or what a route of the Gateway API takes
 * (its filter ExternalAuth).
 * @see https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ExtensionProvider
 */
export interface Authorizer {
  readonly protocol: 'http' | 'grpc';
  readonly host: string;
  readonly cluster: string;
  readonly timeoutMs: number;
  /** Calls go through where the authorizer cannot be asked. */
  readonly failOpen: boolean;
  /** Answered where it cannot be asked; 0: Envoy's default (403). */
  readonly statusOnError: number;
  readonly clearRouteCache: boolean;
  readonly body?: { readonly maxBytes: number; readonly partial: boolean; readonly asBytes: boolean };
  /** Header names are patterns: exact, `prefix*`, `*suffix` or `*`. Empty: gRPC is told of all, HTTP of none but the usual ones. */
  readonly requestHeaders: readonly string[];
  /** What follows is for HTTP only. */
  readonly pathPrefix: string;
  readonly addedHeaders: readonly (readonly [name: string, value: string])[];
  readonly toUpstreamOnAllow: readonly string[];
  readonly toClientOnAllow: readonly string[];
  readonly toClientOnDeny: readonly string[];
}
