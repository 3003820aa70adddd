import type { SourceObject } from '../analyze/analyzer.ts';
import { kindKey, kinds } from '../analyze/analyzer.ts';
import type { ConfigObject } from '../config/object.ts';
import { resolveHost } from '../plan/hosts.ts';
import { nameOf } from './workspace.ts';
import type { Step } from './yaml-cursor.ts';

/** What a field's text stands for, where it is the name of something else. */
export type Reference =
  | 'host'
  | 'subset'
  | 'gateway'
  | 'namespace'
  | 'credential'
  | 'principal'
  | 'service'
  | 'kubernetes-gateway'
  | 'virtual-service'
  | 'condition';

/** Fields that name something, by kind; places in lists are left out of the path. */
const fields: readonly (readonly [kind: RegExp, path: RegExp, reference: Reference])[] = [
  [/./, /^metadata\.namespace$/, 'namespace'],
  [/^VirtualService\./, /^spec\.hosts$/, 'host'],
  [/^VirtualService\./, /^spec\.(http|tls|tcp)\.route\.destination\.host$/, 'host'],
  [/^VirtualService\./, /^spec\.http\.mirrors?(\.destination)?\.host$/, 'host'],
  [/^VirtualService\./, /(destination|mirror)\.subset$/, 'subset'],
  [/^VirtualService\./, /(^spec|match)\.gateways$/, 'gateway'],
  [/^VirtualService\./, /delegate\.name$/, 'virtual-service'],
  [/^DestinationRule\./, /^spec\.host$/, 'host'],
  [/./, /\.credentialName$/, 'credential'],
  [/./, /^spec\.exportTo$/, 'namespace'],
  [/^AuthorizationPolicy\./, /source\.(notN|n)amespaces$/, 'namespace'],
  [/^AuthorizationPolicy\./, /source\.(notP|p)rincipals$/, 'principal'],
  [/^AuthorizationPolicy\./, /when\.key$/, 'condition'],
  [/^(HTTP|GRPC|TLS|TCP|UDP)Route\./, /backendRefs\.name$/, 'service'],
  [/^(HTTP|GRPC|TLS|TCP|UDP)Route\./, /parentRefs\.name$/, 'kubernetes-gateway'],
];

export function referenceAt(kind: string, path: readonly Step[]): Reference | undefined {
  const text = path.filter((step) => typeof step === 'string').join('.');
  return fields.find(([ofKind, ofPath]) => ofKind.test(kind) && ofPath.test(text))?.[2];
}

/** A text that a field can have, what it is, and where that is written. */
export interface Candidate {
  readonly text: string;
  readonly detail: string;
  readonly source?: SourceObject;
  /** JSON path in the object of `source`. */
  readonly path?: string;
}

/** Keys of `when` (Istio's authorization conditions); those that end in `[` take a name and `]`. */
const conditionKeys = [
  'request.headers[',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'request.auth.claims[',
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'destination.ip',
  'destination.port',
  'connection.sni',
];

const domainSuffix = 'cluster.local';

/** Everything that a reference can be, seen from an object of a namespace. `host`: of subsets, the host beside them. */
export function candidates(
  reference: Reference,
  sources: readonly SourceObject[],
  namespace: string,
  host: string,
): Candidate[] {
  const of = (kind: string) => sources.filter(({ object }) => kindKey(object) === kind);
  switch (reference) {
    case 'host':
      return [
        ...of(kinds.service).map((source) => serviceHost(source, namespace)),
        ...of(kinds.serviceEntry).flatMap(entryHosts),
      ];
    case 'subset':
      return of(kinds.destinationRule).flatMap((source) => subsetsOf(source, namespace, host));
    case 'gateway':
      return [
        { text: 'mesh', detail: 'all sidecars' },
        ...of(kinds.gateway).map((source) => named(source, namespace, 'Gateway')),
      ];
    case 'namespace':
      return namespacesOf(sources);
    case 'credential':
      return of(kinds.secret).map((source) => ({
        text: nameOf(source.object).name,
        detail: 'Secret',
        source,
      }));
    case 'principal':
      return principalsOf(sources);
    case 'service':
      return of(kinds.service)
        .filter(({ object }) => nameOf(object).namespace === namespace)
        .map((source) => ({ text: nameOf(source.object).name, detail: 'Service', source }));
    case 'kubernetes-gateway':
      return of(kinds.kubernetesGateway).map((source) => named(source, namespace, 'Gateway'));
    case 'virtual-service':
      return of(kinds.virtualService)
        .filter(({ object }) => specOf(object).hosts === undefined)
        .map((source) => ({
          text: nameOf(source.object).name,
          detail: 'VirtualService without hosts',
          source,
        }));
    case 'condition':
      return conditionKeys.map((text) => ({ text, detail: 'condition' }));
  }
}

function specOf(object: ConfigObject): Readonly<Record<string, unknown>> {
  return (object.spec ?? {}) as Readonly<Record<string, unknown>>;
}

function serviceHost(source: SourceObject, from: string): Candidate {
  const { name, namespace } = nameOf(source.object);
  const text = namespace === from ? name : `${name}.${namespace}.svc.${domainSuffix}`;
  return { text, detail: `Service in ${namespace}`, source };
}

function entryHosts(source: SourceObject): Candidate[] {
  return texts(specOf(source.object).hosts).map((text, index) => ({
    text,
    detail: `ServiceEntry ${nameOf(source.object).name}`,
    source,
    path: `spec.hosts[${index}]`,
  }));
}

function subsetsOf(source: SourceObject, namespace: string, host: string): Candidate[] {
  const { name, namespace: own } = nameOf(source.object);
  const { host: ruleHost, subsets } = specOf(source.object);
  const meant = resolveHost(host, namespace, domainSuffix);
  if (typeof ruleHost !== 'string' || resolveHost(ruleHost, own, domainSuffix) !== meant) return [];
  if (!Array.isArray(subsets)) return [];
  return subsets.flatMap((subset, index) => {
    const { name: text, labels } = (subset ?? {}) as { name?: unknown; labels?: unknown };
    if (typeof text !== 'string') return [];
    const which = labels ? JSON.stringify(labels) : 'all endpoints';
    return [
      { text, detail: `${which}, DestinationRule ${name}`, source, path: `spec.subsets[${index}].name` },
    ];
  });
}

function named(source: SourceObject, from: string, kind: string): Candidate {
  const { name, namespace } = nameOf(source.object);
  return {
    text: namespace === from ? name : `${namespace}/${name}`,
    detail: `${kind} in ${namespace}`,
    source,
  };
}

function namespacesOf(sources: readonly SourceObject[]): Candidate[] {
  const names = new Set(sources.flatMap(({ object }) => object.metadata?.namespace ?? []));
  for (const { object } of sources) if (kindKey(object) === kinds.namespace) names.add(object.metadata.name);
  names.add('default');
  return [...names].sort().map((text) => ({ text, detail: 'Namespace' }));
}

function principalsOf(sources: readonly SourceObject[]): Candidate[] {
  const found = new Map<string, SourceObject>();
  for (const source of sources)
    if (kindKey(source.object) === 'ServiceAccount') {
      const { name, namespace } = nameOf(source.object);
      found.set(`${domainSuffix}/ns/${namespace}/sa/${name}`, source);
    }
  return [...found].map(([text, source]) => ({ text, detail: 'ServiceAccount', source }));
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}
