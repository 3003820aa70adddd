import { parse } from 'yaml';
import type { Issue } from '../../config/kind.ts';
import { validateMeshConfig } from '../../config/kinds/istio/validate-mesh-config.ts';
import { validateMeshNetworks } from '../../config/kinds/istio/validate-mesh-networks.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { type AnalysisView, type Analyzer, kinds } from '../analyzer.ts';
import { meshConfigMap } from '../mesh-settings.ts';

type Json = Record<string, unknown>;

/** IST0106 and IST0133 for the mesh-wide settings, which a ConfigMap carries as text that no schema looks into. */
export const meshConfigAnalyzer = settingsAnalyzer('MeshConfig', 'mesh', validateMeshConfig);
export const meshNetworksSchemaAnalyzer = settingsAnalyzer(
  'MeshNetworks',
  'meshNetworks',
  validateMeshNetworks,
);

function settingsAnalyzer(name: string, key: string, validate: (value: Json) => Issue[]): Analyzer {
  return {
    name: `schema.ValidationAnalyzer.${name}`,
    inputs: [kinds.configMap],
    analyze: (view) => check(view, key, validate),
  };
}

function check(view: AnalysisView, key: string, validate: (value: Json) => Issue[]): void {
  const map = meshConfigMap(view);
  const text = (map?.object.data as Readonly<Record<string, unknown>> | undefined)?.[key];
  if (!map || typeof text !== 'string') return;
  const path = `data.${key}`;
  const read = readText(text);
  if (typeof read === 'string') {
    view.report('IST0106', map, `${path}: ${read}`, path);
    return;
  }
  for (const { severity, path: field, message } of validate(read))
    view.report(severity === 'error' ? 'IST0106' : 'IST0133', map, `${field}: ${message}`, path);
}

/** The settings, or what is wrong with the text. */
function readText(text: string): Json | string {
  try {
    const value: unknown = parse(text) ?? {};
    if (typeof value === 'object' && !Array.isArray(value)) return value as Json;
    return 'is not a map of settings; write FIELD: VALUE lines';
  } catch (error) {
    return `is not YAML (${messageOf(error).split('\n')[0]}), so the settings in force stay`;
  }
}
