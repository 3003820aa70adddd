import type { ConfigObject } from '../../config/object.ts';
import type { MeshConfig } from '../../registry/mesh-config.ts';
import { type Resource, typeUrls } from '../../snapshot/resource.ts';
import type { World } from '../../snapshot/world.ts';
import type { HeldResources } from '../../xds/ledger.ts';
import { configDump, dumpJson, resourcesOfTypes } from './config-dump.ts';
import {
  adsClients,
  connections,
  type ProxySource,
  proxyOfQuery,
  syncStatus,
  visibleProxies,
} from './connected-proxies.ts';
import type { DebugPage, DebugPages, DebugScope } from './debug-page.ts';
import { endpointShards, instancesJson, registryJson } from './registry-pages.ts';

/** What the pages are made of. */
export interface DebugParts {
  readonly proxies: ProxySource;
  /** What a proxy should hold of a type at present. */
  resources(proxyId: string, typeUrl: string): ReadonlyMap<string, Resource>;
  /** What it acknowledged. */
  held(proxyId: string): readonly HeldResources[] | undefined;
  world(): World;
  mesh(): MeshConfig;
  revision(): number;
  /** Every object in force. */
  objects(): Iterable<ConfigObject>;
  /** Objects that keep results from being made, by what they are about. */
  failures(): readonly unknown[];
}

const clusterId = 'Kubernetes';

/** Groups whose objects are Istio's configuration. */
const istioGroups =
  /^(networking|security|telemetry|extensions)\.istio\.io\/|^gateway\.networking(\.x-k8s|\.k8s)\.io\//;

/** Istio's debug pages, by their names below `/debug/`, with the JSON that its command line and Kiali read. */
export function createDebugPages(parts: DebugParts): DebugPages {
  const pages = new Map<string, DebugPage>(
    Object.entries({ ...pagesOfProxies(parts), ...pagesOfTheMesh(parts) }),
  );
  const names = (scope: DebugScope): string[] =>
    [...pages]
      .filter(([name, page]) => name !== 'list' && (scope.namespace === undefined || page.open))
      .map(([name]) => name)
      .sort();
  pages.set('list', {
    help: 'the pages that there are',
    open: true,
    answer: (_query, scope) => names(scope),
  });
  return pages;
}

/** Pages that show proxies: who may see a namespace sees its proxies in them. */
function pagesOfProxies(parts: DebugParts): Record<string, DebugPage> {
  const { proxies } = parts;
  const dumpOfTypes =
    (type: string | undefined): DebugPage['answer'] =>
    (query, scope) => {
      const { proxy } = proxyOfQuery(proxies, query, scope);
      const resourcesOf = (typeUrl: string) => parts.resources(proxy.id, typeUrl);
      const types = type ?? query.get('types') ?? '';
      if (types !== '') return dumpJson(resourcesOfTypes(resourcesOf, types.split(',')));
      const version = String(parts.revision());
      return dumpJson(configDump(resourcesOf, { endpoints: query.has('include_eds'), version }));
    };
  return {
    adsz: {
      help: 'connected proxies with their nodes and what they watch',
      open: true,
      answer: (query, scope) =>
        adsClients(
          query.get('proxyID') ? [proxyOfQuery(proxies, query, scope)] : visibleProxies(proxies, scope),
          (id) =>
            Object.fromEntries(
              (parts.held(id) ?? []).map(({ typeUrl, resources }) => [
                typeUrl,
                resources.map(({ name }) => name),
              ]),
            ),
        ),
    },
    config_dump: {
      help: 'what a proxy should hold (?proxyID=), as Envoy shows it',
      open: true,
      answer: dumpOfTypes(undefined),
    },
    connections: {
      help: 'connected proxies',
      open: true,
      answer: (_query, scope) => connections(visibleProxies(proxies, scope)),
    },
    ecdsz: {
      help: 'extension configurations of a proxy (?proxyID=)',
      open: true,
      answer: dumpOfTypes('ecds'),
    },
    edsz: { help: 'endpoints of a proxy (?proxyID=)', open: true, answer: dumpOfTypes('eds') },
    instancesz: {
      help: 'ports of services that each proxy serves',
      open: true,
      answer: (_query, scope) => instancesJson(parts.world(), visibleProxies(proxies, scope), clusterId),
    },
    ndsz: {
      help: 'names that a proxy’s DNS answers (?proxyID=): empty, agents ask nobody',
      open: true,
      answer: (query, scope) => {
        proxyOfQuery(proxies, query, scope);
        return { configs: [] };
      },
    },
    sidecarz: {
      help: 'what a proxy may see (?proxyID=): its Sidecar and the hosts of its clusters',
      open: true,
      answer: (query, scope) => {
        const { proxy } = proxyOfQuery(proxies, query, scope);
        return sidecarScope(proxy.namespace, parts.resources(proxy.id, typeUrls.cluster));
      },
    },
    syncz: {
      help: 'what each proxy was sent and acknowledged',
      open: true,
      answer: (query, scope) => {
        const namespace = query.get('namespace') ?? '';
        return visibleProxies(proxies, scope)
          .filter(({ proxy }) => namespace === '' || proxy.namespace === namespace)
          .map(syncStatus);
      },
    },
    telemetryz: {
      help: 'Telemetry objects, by namespace; with ?proxyID= those of its namespace and the root namespace',
      open: true,
      answer: (query, scope) => telemetry(parts, query, scope),
    },
  };
}

/** Pages for whoever may see everything. */
function pagesOfTheMesh(parts: DebugParts): Record<string, DebugPage> {
  const policies = () => byNamespace(objectsOf(parts, 'AuthorizationPolicy'));
  return {
    authorizationz: {
      help: 'authorization policies in force, by namespace',
      answer: () => ({
        authorization_policies: {
          namespace_to_policies: policies(),
          root_namespace: parts.mesh().rootNamespace,
        },
      }),
    },
    clusterz: {
      help: 'clusters that services are read from',
      answer: () => [{ id: clusterId, secretName: '', syncStatus: 'synced' }],
    },
    configz: { help: 'Istio’s objects in force', answer: () => [...parts.objects()].filter(isIstio) },
    endpointShardz: {
      help: 'endpoints by host, namespace and registry',
      answer: () => endpointShards(parts.world()),
    },
    endpointz: { help: 'the same as endpointShardz', answer: () => endpointShards(parts.world()) },
    inject: {
      help: 'injection templates: none, sidecars are started beside their workloads',
      answer: () => ({}),
    },
    mcsz: { help: 'multi-cluster services: none', answer: () => [] },
    mesh: { help: 'mesh settings in force', answer: () => meshJson(parts.mesh()) },
    networkz: { help: 'gateways between networks', answer: () => [] },
    push_status: {
      help: 'what the last compile could not do',
      answer: () => ({ ProxyStatus: {}, failures: parts.failures() }),
    },
    pushcontext: {
      help: 'policies and gateways of the present state',
      answer: () => ({
        AuthorizationPolicies: { namespace_to_policies: policies() },
        NetworkGateways: [],
        UnresolvedGateways: [],
      }),
    },
    registryz: { help: 'services', answer: () => registryJson(parts.world(), clusterId) },
    resourcesz: {
      help: 'kinds of Istio’s objects in force',
      answer: () =>
        [
          ...new Set(
            [...parts.objects()].filter(isIstio).map(({ apiVersion, kind }) => `${apiVersion}/${kind}`),
          ),
        ].sort(),
    },
  };
}

function telemetry(parts: DebugParts, query: URLSearchParams, scope: DebugScope): unknown {
  const root = parts.mesh().rootNamespace;
  const all = objectsOf(parts, 'Telemetry');
  const own = query.get('proxyID')
    ? proxyOfQuery(parts.proxies, query, scope).proxy.namespace
    : scope.namespace;
  const seen =
    own === undefined ? all : all.filter(({ metadata }) => [own, root].includes(metadata.namespace ?? ''));
  return { telemetries: { namespace_to_telemetries: byNamespace(seen), root_namespace: root } };
}

function objectsOf(parts: DebugParts, kind: string): ConfigObject[] {
  return [...parts.objects()].filter((object) => isIstio(object) && object.kind === kind);
}

function isIstio({ apiVersion }: ConfigObject): boolean {
  return istioGroups.test(apiVersion);
}

function byNamespace(objects: readonly ConfigObject[]): Record<string, unknown[]> {
  const out: Record<string, unknown[]> = {};
  for (const { metadata, spec } of objects) {
    const namespace = metadata.namespace ?? '';
    out[namespace] ??= [];
    out[namespace].push({ name: metadata.name, namespace, annotations: metadata.annotations ?? {}, spec });
  }
  return out;
}

function sidecarScope(namespace: string, clusters: ReadonlyMap<string, Resource>): Record<string, unknown> {
  const outbound = [...clusters.keys()].filter((name) => name.startsWith('outbound|'));
  const hosts = new Set(outbound.map((name) => name.split('|')[3] ?? ''));
  const sidecars = new Set<string>();
  for (const { origins } of clusters.values())
    for (const origin of origins)
      if (origin.kind === 'Sidecar') sidecars.add(`${origin.namespace}/${origin.name}`);
  return {
    namespace,
    sidecar: [...sidecars][0] ?? null,
    hosts: [...hosts].sort(),
    clusters: outbound.length,
  };
}

/** MeshConfig in its JSON form: what was given, with the values in force over it. */
function meshJson({ extra, ...mesh }: MeshConfig): Record<string, unknown> {
  const { trustDomain, trustDomainAliases, rootNamespace, enableAutoMtls, connectTimeout } = mesh;
  return {
    ...extra,
    ...{ trustDomain, trustDomainAliases, rootNamespace, enableAutoMtls, connectTimeout },
    outboundTrafficPolicy: { mode: mesh.outboundTrafficPolicy },
    accessLogFile: mesh.accessLogFile,
    accessLogFormat: mesh.accessLogFormat,
    accessLogEncoding: mesh.accessLogEncoding,
    defaultServiceExportTo: mesh.defaultServiceExportTo,
    defaultVirtualServiceExportTo: mesh.defaultVirtualServiceExportTo,
    defaultDestinationRuleExportTo: mesh.defaultDestinationRuleExportTo,
    h2UpgradePolicy: mesh.h2UpgradePolicy,
    protocolDetectionTimeout: mesh.protocolDetectionTimeout,
    dnsRefreshRate: mesh.dnsRefreshRate,
    proxyListenPort: mesh.proxyListenPort,
    proxyInboundListenPort: mesh.proxyInboundListenPort,
    extensionProviders: mesh.extensionProviders,
    ...(mesh.localityLbSetting ? { localityLbSetting: mesh.localityLbSetting } : {}),
    ...(mesh.tcpKeepalive ? { tcpKeepalive: mesh.tcpKeepalive } : {}),
  };
}
