import type { ConfigObject } from '../../config/object.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { type InstancePlan, loopbacks } from './mesh-plan.ts';
import { mappedPorts, portsAnnotation } from './started-gateways.ts';

const mergePatch = 'application/merge-patch+json';

/** Says on a Gateway, and in an event, at which ports of this machine it is served. Repeats nothing that is said already. */
export async function notePorts(
  client: ApiClient,
  plan: InstancePlan,
  log: (line: string) => void,
): Promise<void> {
  const [namespace = '', name = ''] = plan.gateway?.startedFor?.split('/') ?? [];
  if (name === '') return;
  const path = `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/gateways/${name}`;
  const ports = mappedPorts(plan);
  try {
    const gateway = await client.get<ConfigObject>(path);
    if ((gateway.metadata.annotations?.[portsAnnotation] ?? '') === ports) return;
    await client.request({
      method: 'PATCH',
      path,
      contentType: mergePatch,
      body: { metadata: { annotations: { [portsAnnotation]: ports === '' ? null : ports } } },
    });
    if (ports !== '') await recordEvent(client, gateway, plan);
  } catch (error) {
    // It may have gone meanwhile.
    if (!(error instanceof ApiError && error.status === 404))
      log(`ports of Gateway ${namespace}/${name} could not be noted: ${messageOf(error)}`);
  }
}

async function recordEvent(client: ApiClient, { metadata }: ConfigObject, plan: InstancePlan): Promise<void> {
  const [host = ''] = loopbacks(plan.capture);
  const places = plan.endpoints.map(({ servicePort, listen }) => `port ${servicePort} at ${host}:${listen}`);
  const now = new Date().toISOString();
  const { name, namespace = 'default', uid } = metadata;
  await client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/events`,
    body: {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${Date.now().toString(16)}`, namespace },
      involvedObject: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name, namespace, uid },
      type: 'Normal',
      reason: 'PortsAllocated',
      message: `served on this machine: ${places.join(', ')}`,
      source: { component: 'ostria' },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    },
  });
}
