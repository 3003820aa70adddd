import { isObject } from '../../../kit/json.ts';

/** Merge keys of Kubernetes' own kinds (the API reference's "patch merge key"), for schemas that do not carry them. */
const mergeKeyOfField: Record<string, string> = {
  conditions: 'type',
  containers: 'name',
  env: 'name',
  ephemeralContainers: 'name',
  hostAliases: 'ip',
  imagePullSecrets: 'name',
  initContainers: 'name',
  matchConditions: 'name',
  podIPs: 'ip',
  resourceClaims: 'name',
  schedulingGates: 'name',
  secrets: 'name',
  taints: 'key',
  topologySpreadConstraints: 'topologyKey',
  volumeDevices: 'devicePath',
  volumeMounts: 'mountPath',
  volumes: 'name',
  webhooks: 'name',
};

export function wellKnownMergeKey(
  kind: string,
  field: string,
  items: readonly unknown[],
): string | undefined {
  if (field === 'ports') {
    if (items.some((item) => isObject(item) && item.containerPort !== undefined)) return 'containerPort';
    return kind === 'Service' ? 'port' : undefined;
  }
  return mergeKeyOfField[field];
}
