import type { StructuralSchema } from '../kind.ts';
import type { SchemaNode } from '../schema/schema-node.ts';

/**
 * Short texts for `kubectl explain` and for editors, by `Kind.group`: '' is the kind itself, other keys are paths of fields (items of
 * lists and values of maps add no step). The fields that users meet most; the CRDs' own texts are not carried over.
 */
const texts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'VirtualService.networking.istio.io': {
    '': 'How requests to one or more hosts are routed.',
    'spec.hosts':
      'Hosts that the rules are for: names as callers use them, *.domain, or short names of services. None: others delegate to it.',
    'spec.gateways':
      'Gateways (namespace/name) that use the rules; mesh stands for all sidecars. Default: mesh.',
    'spec.exportTo': 'Namespaces that see the rules: . (own), * (all). Default: *.',
    'spec.http': 'Routes for HTTP, HTTP/2 and gRPC. The first that matches decides.',
    'spec.http.name': 'Shown in logs and metrics.',
    'spec.http.match':
      'Conditions; any one of them is enough, all fields of one must hold. None: everything matches.',
    'spec.http.match.uri': 'The path, without query: exact, prefix or regex (RE2).',
    'spec.http.match.headers':
      'Headers by lower-case name; an empty match asks only that the header is there.',
    'spec.http.match.queryParams': 'Query parameters by name.',
    'spec.http.match.method': 'The HTTP method.',
    'spec.http.match.sourceLabels': 'Labels that the calling workload must have.',
    'spec.http.match.ignoreUriCase': 'Letters of the path match in either case.',
    'spec.http.route': 'Where requests go. Several destinations share them by weight.',
    'spec.http.route.destination': 'A service, optionally one subset of it.',
    'spec.http.route.destination.host':
      'The host of a service; a short name is one of the rule’s own namespace.',
    'spec.http.route.destination.subset': 'A subset that a DestinationRule of the host names.',
    'spec.http.route.destination.port': 'Needed where the service has more than one port.',
    'spec.http.route.weight': 'Share of the requests, relative to the sum of all weights.',
    'spec.http.redirect': 'Answers with a redirect instead of routing.',
    'spec.http.directResponse': 'Answers with a fixed status and body.',
    'spec.http.delegate': 'Another VirtualService, without hosts, that has the routes.',
    'spec.http.rewrite': 'Changes path or host before the request is sent on.',
    'spec.http.timeout': 'Time for the whole call, retries included. 0s or absent: none.',
    'spec.http.retries': 'When and how often a failed call is tried again.',
    'spec.http.retries.attempts': 'Tries after the first; 0, or nothing, switches retries off.',
    'spec.http.retries.perTryTimeout': 'Time for each try.',
    'spec.http.retries.retryOn': 'Envoy’s retry conditions or HTTP statuses, separated by commas.',
    'spec.http.fault': 'Delays or aborts a share of the requests, for tests; without a percentage, none.',
    'spec.http.fault.delay': 'Holds requests for fixedDelay.',
    'spec.http.fault.abort': 'Answers with httpStatus or grpcStatus.',
    'spec.http.mirror': 'Sends a copy of each request there; its answer is dropped.',
    'spec.http.mirrors': 'Several mirrors, each with its share.',
    'spec.http.corsPolicy': 'Which other origins browsers may call from.',
    'spec.http.headers': 'Headers that are added, set or removed.',
    'spec.tls': 'Routes for TLS that is passed through, by SNI.',
    'spec.tcp': 'Routes for other TCP.',
  },
  'DestinationRule.networking.istio.io': {
    '': 'What happens with calls after routing: load balancing, pools, outliers, TLS.',
    'spec.host': 'The host of the service that the rule is for, as in routes; *.domain stands for several.',
    'spec.trafficPolicy': 'Holds for all subsets and ports, unless they say otherwise.',
    'spec.trafficPolicy.loadBalancer': 'How an endpoint is chosen. Default: LEAST_REQUEST.',
    'spec.trafficPolicy.loadBalancer.consistentHash':
      'Sends equal keys (header, cookie, address, parameter) to the same endpoint.',
    'spec.trafficPolicy.connectionPool':
      'Limits on connections and requests; beyond them calls fail at once.',
    'spec.trafficPolicy.outlierDetection': 'Leaves endpoints out for a while after errors.',
    'spec.trafficPolicy.tls': 'TLS towards the service. In the mesh it is chosen by itself.',
    'spec.trafficPolicy.tls.mode':
      'DISABLE, SIMPLE (server certificate), MUTUAL (own certificate too), ISTIO_MUTUAL (the mesh’s).',
    'spec.trafficPolicy.portLevelSettings': 'Settings for single ports, which take the place of the others.',
    'spec.subsets': 'Named groups of endpoints, such as versions.',
    'spec.subsets.name': 'The name that routes use.',
    'spec.subsets.labels': 'Labels that the endpoints have.',
    'spec.workloadSelector': 'Clients that the rule is for. None: all.',
  },
  'Gateway.networking.istio.io': {
    '': 'Ports that a gateway opens, and for which hosts.',
    'spec.selector': 'Labels of the gateway’s pods.',
    'spec.servers': 'Ports with their hosts and TLS.',
    'spec.servers.port': 'Number, name and protocol: HTTP, HTTPS, GRPC, HTTP2, TLS, TCP.',
    'spec.servers.hosts': 'Hosts that are served, optionally namespace/host; * for all.',
    'spec.servers.tls': 'Where the certificate comes from, and whether clients need one.',
    'spec.servers.tls.mode':
      'SIMPLE, MUTUAL, OPTIONAL_MUTUAL, PASSTHROUGH (by SNI), AUTO_PASSTHROUGH, ISTIO_MUTUAL.',
    'spec.servers.tls.credentialName': 'A Secret with the certificate, in the gateway’s namespace.',
    'spec.servers.tls.httpsRedirect': 'Sends HTTP callers to HTTPS.',
  },
  'ServiceEntry.networking.istio.io': {
    '': 'A service that no platform of the mesh knows.',
    'spec.hosts': 'Names of the service; *.domain with resolution NONE or DYNAMIC_DNS.',
    'spec.addresses': 'Virtual addresses or ranges of the service.',
    'spec.ports': 'Its ports, each with a protocol.',
    'spec.location': 'MESH_EXTERNAL (no sidecars there) or MESH_INTERNAL.',
    'spec.resolution':
      'How endpoints are found: NONE (the address called), STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS.',
    'spec.endpoints': 'Its endpoints, where they are known by hand.',
    'spec.workloadSelector': 'Labels of Pods and WorkloadEntries that are its endpoints.',
    'spec.exportTo': 'Namespaces that see it: . (own), * (all), ~ (none). Default: *.',
    'spec.subjectAltNames': 'Identities that its endpoints may prove.',
  },
  'Sidecar.networking.istio.io': {
    '': 'What the sidecars of a namespace, or of some workloads, listen on and know.',
    'spec.workloadSelector': 'Workloads it is for. None: the namespace.',
    'spec.ingress': 'Ports that the workload serves.',
    'spec.egress': 'Listeners for calls that it makes.',
    'spec.egress.hosts':
      'Hosts it may call: namespace/host, where . is the own and * every namespace; ~ns/* leaves one out.',
    'spec.outboundTrafficPolicy': 'Whether hosts that nobody declared may be called.',
  },
  'WorkloadEntry.networking.istio.io': {
    '': 'A workload outside the platform, such as a machine.',
    'spec.address': 'IP address, host name or unix:// path.',
    'spec.labels': 'By these, selectors find it.',
    'spec.ports': 'Ports by the names that the service gives them.',
    'spec.serviceAccount': 'Its identity, in its namespace.',
    'spec.weight': 'Share of calls, relative to others.',
    'spec.locality': 'region/zone/subzone.',
    'spec.network': 'Workloads of one network reach each other directly.',
  },
  'WorkloadGroup.networking.istio.io': {
    '': 'A template for workloads that register themselves.',
    'spec.template': 'What each WorkloadEntry begins with.',
    'spec.probe': 'How their health is found out.',
  },
  'PeerAuthentication.security.istio.io': {
    '': 'Whether workloads accept plaintext, mutual TLS, or both.',
    'spec.selector': 'Workloads it is for. None: the namespace; in the root namespace, the mesh.',
    'spec.mtls': 'STRICT: mutual TLS only. PERMISSIVE: both. DISABLE: plaintext. UNSET: as the level above.',
    'spec.portLevelMtls': 'Exceptions by port of the workload.',
  },
  'RequestAuthentication.security.istio.io': {
    '': 'Which tokens (JWT) workloads take. Requests without a token pass; AuthorizationPolicies ask for one.',
    'spec.jwtRules': 'Issuers whose tokens are valid.',
    'spec.jwtRules.issuer': 'The claim iss that the token must have.',
    'spec.jwtRules.jwksUri': 'Where the issuer’s keys are.',
    'spec.jwtRules.audiences': 'Any of them must be in the claim aud.',
    'spec.jwtRules.fromHeaders': 'Headers to look in. Default: Authorization: Bearer.',
    'spec.jwtRules.outputClaimToHeaders': 'Copies claims into headers for the application.',
  },
  'AuthorizationPolicy.security.istio.io': {
    '': 'Who may call what. CUSTOM is asked first, then DENY, then ALLOW; with any ALLOW policy, what none allows is denied.',
    'spec.action': 'ALLOW, DENY, AUDIT or CUSTOM (asks provider). Default: ALLOW.',
    'spec.rules':
      'A request matches when one rule does. No rules: never matches, so ALLOW denies everything.',
    'spec.rules.from': 'Who calls: any one source.',
    'spec.rules.from.source.principals': 'Identities: trust domain/ns/namespace/sa/account; * at either end.',
    'spec.rules.from.source.namespaces': 'Namespaces of the callers.',
    'spec.rules.from.source.requestPrincipals': 'Issuer/subject of the token.',
    'spec.rules.to': 'What is called: any one operation.',
    'spec.rules.to.operation.paths': 'Paths; * at either end, or {*} and {**} as segments.',
    'spec.rules.when': 'Further conditions, all of them.',
  },
  'Telemetry.telemetry.istio.io': {
    '': 'Metrics, access logs and traces of workloads.',
    'spec.accessLogging': 'Which requests are logged, and by which provider.',
    'spec.metrics': 'Which metrics there are, and with which tags.',
    'spec.tracing': 'How many requests are traced, and where spans go.',
  },
  'EnvoyFilter.networking.istio.io': {
    '': 'Patches of the generated Envoy configuration: the last resort, as names inside may change.',
    'spec.configPatches': 'Patches, in order.',
    'spec.configPatches.applyTo': 'What kind of object is patched.',
    'spec.configPatches.match': 'Which of them.',
    'spec.configPatches.patch': 'How: operation and value.',
  },
  'WasmPlugin.extensions.istio.io': {
    '': 'A WebAssembly filter.',
    'spec.url': 'Where the module is: oci://, https:// or file://; without a scheme, an OCI image.',
    'spec.phase': 'Before which of the mesh’s own filters it runs.',
    'spec.pluginConfig': 'Given to the module as it is.',
  },
  'HTTPRoute.gateway.networking.k8s.io': {
    '': 'HTTP routes of a Gateway or a service.',
    'spec.parentRefs': 'Gateways, or Services in the mesh, that the routes are for.',
    'spec.hostnames': 'Hosts, within those of the listener.',
    'spec.rules': 'Matches, filters and backends.',
    'spec.rules.backendRefs': 'Services that get the requests, by weight.',
  },
  'Gateway.gateway.networking.k8s.io': {
    '': 'An entrance: listeners on ports, to which routes attach.',
    'spec.gatewayClassName': 'Who runs it.',
    'spec.listeners': 'Ports with protocol, host and TLS.',
  },
};

/** The schema with the texts of its kind; only the nodes on their way are copied. */
export function withDescriptions(kind: string, schema: StructuralSchema): StructuralSchema {
  let described = schema as SchemaNode;
  for (const [path, text] of Object.entries(texts[kind] ?? {}))
    described = describe(described, path === '' ? [] : path.split('.'), text) ?? described;
  return described as StructuralSchema;
}

/** Every text whose field is not in its schema: a test keeps this empty. */
export function strayDescriptions(kind: string, schema: StructuralSchema): string[] {
  return Object.keys(texts[kind] ?? {}).filter(
    (path) => describe(schema as SchemaNode, path === '' ? [] : path.split('.'), '') === undefined,
  );
}

export const describedKinds: readonly string[] = Object.keys(texts);

function describe(schema: SchemaNode, path: readonly string[], text: string): SchemaNode | undefined {
  if (schema.items && path.length > 0) {
    const items = describe(schema.items, path, text);
    return items && { ...schema, items };
  }
  const [name, ...rest] = path;
  if (name === undefined) return { ...schema, description: text };
  const child = schema.properties?.[name];
  const described = child && describe(child, rest, text);
  return described && { ...schema, properties: { ...schema.properties, [name]: described } };
}
