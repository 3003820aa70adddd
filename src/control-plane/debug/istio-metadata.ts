import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { type Origin, parseOriginId } from '../../config/origin.ts';
import { originNamespace } from '../../envoy/pack.ts';
import { isObject } from '../../kit/json.ts';
import { readHost } from '../../kit/told-host.ts';
import { typeUrls } from '../../snapshot/resource.ts';
import type { ResourcesOf } from './config-dump.ts';

/*
 * Istio's tools read from `filter_metadata.istio` which object made a cluster or route. Ours carry their origin in a shorter form; it is put
 * into Istio's where it is shown, so that proxies need not be sent both.
 */

/** `filter_metadata` of a resource, as JSON and as protobuf alike. */
type FilterMetadata = Record<string, JsonValue>;

/** Which kinds Istio names, by the word of its path. */
const words: Readonly<Record<string, string>> = {
  VirtualService: 'virtual-service',
  DestinationRule: 'destination-rule',
};

/** The DestinationRule that had a part in a cluster. */
export type RuleOf = (cluster: string) => Origin | undefined;

/** By what the compile noted of each cluster: the rule of a whole host is in no cluster's own metadata. */
export function ruleOf(resources: ResourcesOf): RuleOf {
  const clusters = resources(typeUrls.cluster);
  return (cluster) => clusters.get(cluster)?.origins.find(({ kind }) => kind === 'DestinationRule');
}

/** Adds Istio's form to a route's metadata. */
export function addToRoute(metadata: FilterMetadata | undefined): void {
  const own = metadata?.[originNamespace] as JsonObject | undefined;
  const origin = typeof own?.origin === 'string' ? parseOriginId(own.origin) : undefined;
  const config = origin && pathOf(origin);
  if (metadata && config !== undefined) metadata.istio = { config };
}

/** Adds Istio's form to a cluster's metadata: its rule, its subset, and the services behind it. */
export function addToCluster(
  metadata: FilterMetadata | undefined,
  name: string,
  rule: Origin | undefined,
): void {
  const own = metadata?.[originNamespace] as JsonObject | undefined;
  if (!metadata || !own) return;
  const [direction, port = '', subset = ''] = name.split('|');
  if (direction !== 'outbound' && direction !== 'inbound') return;
  const config = rule && pathOf(rule);
  const { name: service, namespace } = own;
  const host = typeof own.host === 'string' ? readHost(own.host).host : undefined;
  metadata.istio = {
    ...(config === undefined ? {} : { config }),
    ...(/^\d+$/.test(port) ? { default_original_port: Number(port) } : {}),
    ...(subset === '' ? {} : { subset }),
    ...(host === undefined || service === undefined || namespace === undefined
      ? {}
      : { services: [{ host, name: service, namespace }] }),
  };
}

function pathOf({ kind, namespace, name }: Origin): string | undefined {
  const word = words[kind];
  return word === undefined
    ? undefined
    : `/apis/networking.istio.io/v1/namespaces/${namespace}/${word}/${name}`;
}

type Json = Readonly<Record<string, unknown>>;

/** Adds Istio's form to the clusters and routes of a dump as Envoy's admin interface gives it. Other texts stay as they are. */
export function withIstioMetadata(text: string, rule: RuleOf): string {
  let dump: { readonly configs?: readonly Json[] };
  try {
    dump = JSON.parse(text) as typeof dump;
  } catch {
    return text;
  }
  for (const config of dump.configs ?? []) {
    const type = String(config['@type']);
    // Asked for one kind of resource, Envoy gives the entries without the section around them.
    if (/\.ClustersConfigDump\b/.test(type))
      for (const cluster of entries(config, 'cluster')) {
        const name = String(cluster.name ?? '');
        addToCluster(metadataOf(cluster), name, rule(name));
      }
    else if (/\.RoutesConfigDump\b/.test(type))
      for (const routes of entries(config, 'route_config'))
        for (const host of list(routes.virtual_hosts))
          for (const route of list(host.routes)) addToRoute(metadataOf(route));
  }
  return `${JSON.stringify(dump, undefined, 1)}\n`;
}

/** What the entries of a section, or an entry by itself, hold in a field. */
function entries(config: Json, field: string): Json[] {
  const all = [config, ...Object.values(config).flatMap(list)];
  return all.flatMap((entry) => (isObject(entry[field]) ? [entry[field]] : []));
}

function metadataOf({ metadata }: Json): FilterMetadata | undefined {
  const filters = isObject(metadata) ? metadata.filter_metadata : undefined;
  return isObject(filters) ? (filters as FilterMetadata) : undefined;
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
