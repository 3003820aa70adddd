import { outboundCluster } from '../../../plan/names.ts';
import { type InferencePoolSpec, poolHost } from '../../../registry/inference-pool.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import type { PickerPlan } from '../inference/schema.ts';
import type { Resolved } from './references.ts';
import { hasPort, serviceOf } from './services.ts';

export const poolGroup = 'inference.networking.k8s.io';
export const poolKind = configKind<InferencePoolSpec>(`${poolGroup}/InferencePool`);

export interface Pool {
  readonly cluster: string;
  /** Where the registry keeps its endpoints. */
  readonly service: Key;
  readonly port: number;
  readonly picker: PickerPlan;
}

/** The cluster of a pool (`namespace/name`). */
export function poolCluster(pool: Key): string {
  return `inference|${pool}`;
}

/** A pool (`namespace/name`) that can be sent to: it is there, and so is its picker. */
export function resolvePool(view: View, namespace: string, name: string): Resolved<Pool> {
  const key = `${namespace}/${name}`;
  const spec = view.get(poolKind, key)?.spec;
  if (!spec) return { ok: false, reason: 'BackendNotFound', message: `there is no InferencePool ${key}` };
  const { group = '', kind = 'Service', name: pickerName, port, failureMode } = spec.endpointPickerRef;
  const what = `the endpoint picker of InferencePool ${key}`;
  if (group !== '' || kind !== 'Service')
    return { ok: false, reason: 'InvalidKind', message: `${what} is of kind ${kind}: it must be a Service` };
  const service = serviceOf(view, namespace, pickerName);
  const pickerPort = port?.number;
  if (!service || pickerPort === undefined || !hasPort(service, pickerPort))
    return {
      ok: false,
      reason: 'BackendNotFound',
      message: `${what}: there is no Service ${namespace}/${pickerName} with port ${pickerPort ?? '(none is named)'}`,
    };
  return {
    ok: true,
    value: {
      cluster: poolCluster(key),
      service: `${namespace}/${poolHost(namespace, name)}`,
      port: spec.targetPorts[0]?.number ?? 0,
      picker: {
        cluster: outboundCluster(pickerPort, '', service.host),
        host: service.host,
        failOpen: failureMode === 'FailOpen',
      },
    },
  };
}
