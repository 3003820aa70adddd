import { parse } from 'yaml';
import type { ConfigObject } from '../../../config/object.ts';
import { isObject } from '../../../kit/json.ts';
import type { Attribute } from '../../../snapshot/attribute.ts';
import { defineAttribute } from '../../../snapshot/attribute.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export type Json = Readonly<Record<string, unknown>>;

/** What mesh and proxies say of how HTTP connections are treated; absent: Envoy's or our own default. */
export interface ConnectionSettings {
  /** `MeshConfig.pathNormalization.normalization` */
  readonly normalization?: string;
  /** `ProxyConfig.proxyHeaders` */
  readonly headers?: Json;
  /** `ProxyConfig.connectionSettings` */
  readonly connection?: Json;
}

/** The Pod's annotation by which a workload has a ProxyConfig of its own. */
const annotation = 'proxy.istio.io/config';
const podKind = configKind('Pod');

/** Pods with that annotation, under ''. */
const annotatedPods = defineIndex('pods-with-proxy-config', podKind, (pod: ConfigObject) =>
  pod.metadata.annotations?.[annotation] === undefined ? [] : [''],
);

function isWorkload(key: Key): Attribute<boolean> {
  return { id: `workload=${key}`, value: (proxy) => `${proxy.namespace}/${proxy.name}` === key };
}

/** What a proxy reports of its own ProxyConfig, as Istio's agents do. */
const reported = defineAttribute('proxy-config.connections', ({ metadata }) => {
  const { proxyHeaders, connectionSettings } = object(metadata.PROXY_CONFIG) ?? {};
  return proxyHeaders === undefined && connectionSettings === undefined
    ? ''
    : JSON.stringify({ proxyHeaders, connectionSettings });
});

const ofMesh = defineQuery('connection-settings.mesh', (view): Json => {
  const { defaultConfig, pathNormalization } = view.mesh('extra');
  const { proxyHeaders, connectionSettings } = object(defaultConfig) ?? {};
  return {
    normalization: object(pathNormalization)?.normalization ?? '',
    ...(object(proxyHeaders) ? { proxyHeaders } : {}),
    ...(object(connectionSettings) ? { connectionSettings } : {}),
  };
});

const ofPod = defineQuery('connection-settings.pod', (view, key: Key): Json => {
  const text = (view.get(podKind, key) as ConfigObject | undefined)?.metadata.annotations?.[annotation];
  try {
    const { proxyHeaders, connectionSettings } = object(parse(text ?? '')) ?? {};
    return { proxyHeaders: object(proxyHeaders), connectionSettings: object(connectionSettings) };
  } catch {
    return {};
  }
});

/** The settings of the asking proxy: what it reports goes before its Pod's annotation, and that before the mesh, field by field. */
export const connectionSettings = defineQuery('connection-settings', (view): ConnectionSettings => {
  const mesh = view.call(ofMesh);
  const pods = view
    .list(annotatedPods, '')
    .filter((key) => view.attribute(isWorkload(key)))
    .map((key) => view.call(ofPod, key));
  const own = view.attribute(reported);
  const layers = [mesh, ...pods, ...(own === '' ? [] : [JSON.parse(own) as Json])];
  const merged = (name: string): Json | undefined => {
    const found = layers.flatMap((layer) => object(layer[name]) ?? []);
    return found.length > 0 ? Object.assign({}, ...found) : undefined;
  };
  const headers = merged('proxyHeaders');
  const connection = merged('connectionSettings');
  return {
    ...(mesh.normalization ? { normalization: String(mesh.normalization) } : {}),
    ...(headers ? { headers } : {}),
    ...(connection ? { connection } : {}),
  };
});

export function object(value: unknown): Json | undefined {
  return isObject(value) ? value : undefined;
}

/** The value of a nested flag; undefined: nobody said. */
export function flag(settings: Json | undefined, name: string, inner?: string): boolean | undefined {
  const value = inner === undefined ? settings?.[name] : object(settings?.[name])?.[inner];
  return typeof value === 'boolean' ? value : undefined;
}
