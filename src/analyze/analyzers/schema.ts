import { protocolAsTcp } from '../../config/kinds/protocol-notes.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';

/** Kinds of Istio's API whose objects are judged one by one. */
const judged: Readonly<Record<string, string>> = {
  AuthorizationPolicy: kinds.authorizationPolicy,
  DestinationRule: kinds.destinationRule,
  EnvoyFilter: kinds.envoyFilter,
  Gateway: kinds.gateway,
  PeerAuthentication: 'PeerAuthentication.security.istio.io',
  ProxyConfig: kinds.proxyConfig,
  RequestAuthentication: kinds.requestAuthentication,
  ServiceEntry: kinds.serviceEntry,
  Sidecar: kinds.sidecar,
  Telemetry: kinds.telemetry,
  TrafficExtension: 'TrafficExtension.extensions.istio.io',
  VirtualService: kinds.virtualService,
  WasmPlugin: kinds.wasmPlugin,
  WorkloadEntry: kinds.workloadEntry,
  WorkloadGroup: 'WorkloadGroup.networking.istio.io',
};

const dependsOnInternals =
  'patches what the mesh makes of Envoy, which may change with any release; prefer an API made for the purpose, and test it before upgrades';

const gatewayApi = 'gateway.networking.k8s.io';
const gatewayApiKinds = [
  'BackendTLSPolicy',
  'GRPCRoute',
  'Gateway',
  'HTTPRoute',
  'ListenerSet',
  'ReferenceGrant',
  'TCPRoute',
  'TLSRoute',
  'UDPRoute',
];

/** What Istio's own tool passes over: Gateway API's objects, and kinds of the mesh's groups that nobody knows, such as misspelt ones. */
export const otherSchemaAnalyzer: Analyzer = {
  name: 'schema.ValidationAnalyzer.Other',
  inputs: gatewayApiKinds.map((kind) => `${kind}.${gatewayApi}`),
  seesMalformed: true,
  analyze: (view) => {
    for (const kind of view.presentKinds) {
      const group = kind.slice(kind.indexOf('.') + 1);
      if (!Object.values(judged).includes(kind) && (group === gatewayApi || group.endsWith('.istio.io')))
        for (const item of view.all(kind)) reportIssues(view, item, kind);
    }
  },
};

/** IST0106 and IST0133: what schema and rules of its kind refuse or warn of, one message for each field. */
export const schemaAnalyzers: readonly Analyzer[] = Object.entries(judged).map(([name, kind]) => ({
  name: `schema.ValidationAnalyzer.${name}`,
  inputs: [kind],
  seesMalformed: true,
  analyze: (view) => {
    for (const item of view.all(kind)) {
      if (kind === kinds.envoyFilter) view.report('IST0133', item, dependsOnInternals);
      reportIssues(view, item, kind);
    }
  },
}));

function reportIssues(view: AnalysisView, item: Item<unknown>, kind: string): void {
  for (const { severity, path, message, code } of view.issuesOf(item)) {
    // Told as OST0110.
    if (code === protocolAsTcp) continue;
    // A status is the control plane's to write.
    if (path.startsWith('status.')) continue;
    // Rules that are never reached are told as IST0130, with more of the reasons.
    if (kind === kinds.virtualService && severity === 'warning' && /^spec\.http\[\d+\]$/.test(path)) continue;
    const text = path === '' ? message : `${path}: ${message}`;
    view.report(severity === 'error' ? 'IST0106' : 'IST0133', item, text, path);
  }
}
