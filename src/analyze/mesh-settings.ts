import { parse } from 'yaml';
import { type AnalysisView, type Item, kinds } from './analyzer.ts';

/** The mesh-wide settings that analyzers read. */
export interface MeshSettings {
  readonly defaultProviders?: { readonly accessLogging?: readonly string[] };
  readonly extensionProviders?: readonly { readonly name?: string; readonly lightstep?: unknown }[];
  readonly defaultConfig?: { readonly image?: { readonly imageType?: string } };
}

export interface MeshNetworks {
  readonly networks?: Readonly<
    Record<string, { readonly endpoints?: readonly { readonly fromRegistry?: string }[] }>
  >;
}

/** The ConfigMap that holds them, if it is among the objects. */
export function meshConfigMap(view: AnalysisView): Item | undefined {
  return view
    .all(kinds.configMap)
    .find(({ name, namespace }) => name === 'istio' && namespace === view.rootNamespace);
}

export function meshSettings(view: AnalysisView): MeshSettings {
  return readKey(meshConfigMap(view), 'mesh') as MeshSettings;
}

export function meshNetworks(view: AnalysisView): MeshNetworks {
  return readKey(meshConfigMap(view), 'meshNetworks') as MeshNetworks;
}

/** Empty where there is none, and where it cannot be read: the control plane tells of that. */
function readKey(map: Item | undefined, key: string): object {
  const text = (map?.object.data as Readonly<Record<string, unknown>> | undefined)?.[key];
  try {
    const value: unknown = typeof text === 'string' ? parse(text) : undefined;
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
