import { hostCovers, resolveHost } from '../plan/hosts.ts';
import { type AnalysisView, type Item, kinds } from './analyzer.ts';
import type { ServiceSpec } from './selectors.ts';

export interface ServiceEntrySpec {
  readonly hosts?: readonly string[];
  readonly addresses?: readonly string[];
  readonly exportTo?: readonly string[];
  readonly resolution?: string;
  readonly ports?: readonly {
    readonly number?: number;
    readonly name?: string;
    readonly protocol?: string;
  }[];
}

/** A host that some object brings into the mesh. */
export interface MeshHost {
  readonly host: string;
  readonly namespace: string;
  /** Who may see it: `*`, `.` or namespaces. */
  readonly exportTo: readonly string[];
  readonly ports: readonly number[];
  readonly service?: Item<ServiceSpec>;
}

const exportAnnotation = 'networking.istio.io/exportTo';

/** Every host of the services and service entries. */
export function meshHosts(view: AnalysisView): MeshHost[] {
  const services = view.all<ServiceSpec>(kinds.service).map((service): MeshHost => {
    const exported = service.annotations[exportAnnotation];
    return {
      host: `${service.name}.${service.namespace}.svc.${view.domainSuffix}`,
      namespace: service.namespace,
      exportTo: exported ? exported.split(',').map((part) => part.trim()) : ['*'],
      ports: (service.spec.ports ?? []).filter(({ protocol }) => protocol !== 'UDP').map(({ port }) => port),
      service,
    };
  });
  const entries = view.all<ServiceEntrySpec>(kinds.serviceEntry).flatMap(({ spec, namespace }) =>
    (spec.hosts ?? []).map(
      (host): MeshHost => ({
        host: resolveHost(host, namespace, view.domainSuffix),
        namespace,
        exportTo: exportScope(spec.exportTo),
        ports: (spec.ports ?? []).flatMap(({ number }) => number ?? []),
      }),
    ),
  );
  return [...services, ...entries];
}

export function exportScope(exportTo: readonly string[] | undefined): readonly string[] {
  return exportTo && exportTo.length > 0 ? exportTo : ['*'];
}

export function isVisible(exportTo: readonly string[], owner: string, from: string): boolean {
  return exportTo.some((scope) => scope === '*' || scope === from || (scope === '.' && owner === from));
}

/** Finds hosts by name, wildcards too, as one namespace sees them. */
export function createHostLookup(
  hosts: readonly MeshHost[],
): (host: string, from: string) => MeshHost | undefined {
  const exact = new Map<string, MeshHost[]>();
  const wild = hosts.filter(({ host }) => host.startsWith('*'));
  for (const one of hosts) {
    const same = exact.get(one.host);
    if (same) same.push(one);
    else exact.set(one.host, [one]);
  }
  return (host, from) => {
    const sees = (one: MeshHost) => isVisible(one.exportTo, one.namespace, from);
    return exact.get(host)?.find(sees) ?? wild.find((one) => hostCovers(one.host, host) && sees(one));
  };
}
