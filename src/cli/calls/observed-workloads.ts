import type { ConfigObject } from '../../config/object.ts';
import { parseOriginId } from '../../config/origin.ts';
import { holdsLabels } from '../../kit/labels.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import type { ObservedWorkload } from '../../observe/suggest-policies.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import type { ApiClient } from '../api/api-client.ts';

type Labels = Readonly<Record<string, string>>;

interface KnownWorkload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
}

interface KnownService {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Labels;
}

/** Workloads of a running mesh, to find whose a record is and which policies apply there. */
export interface WorkloadBook {
  /** The service that a called workload belongs to; of gateways, whose callers are outside, undefined. */
  workloadOf(record: CallRecord): ObservedWorkload | undefined;
  /** Labels and namespace of the workload that wrote a record. */
  labelsOf(record: CallRecord): KnownWorkload | undefined;
}

const pods = 'Pod';
const services = 'Service';

export async function readWorkloadBook(client: ApiClient): Promise<WorkloadBook> {
  const { sources } = await readMesh(client, new Set([pods, services]));
  const objects = sources.map(({ object }) => object);
  const byName = new Map(
    objects.filter(({ kind }) => kind === pods).map((pod) => [pod.metadata.name, knownPod(pod)]),
  );
  const known = objects.filter(({ kind }) => kind === services).flatMap(knownService);
  const labelsOf = ({ workload }: CallRecord) => byName.get(workload);
  return {
    labelsOf,
    workloadOf(record) {
      const workload = labelsOf(record);
      if (!workload || parseOriginId(record.chain ?? '')?.kind === 'Gateway') return undefined;
      const { namespace, labels } = workload;
      const own = known.filter(
        (service) => service.namespace === namespace && holdsLabels(labels, service.selector),
      );
      // Of several services the most general one: its selector takes all copies.
      const service = own.sort(
        (a, b) =>
          Object.keys(a.selector).length - Object.keys(b.selector).length || (a.name < b.name ? -1 : 1),
      )[0];
      if (service) return { namespace, name: service.name, selector: service.selector };
      const { app } = labels;
      return app === undefined ? undefined : { namespace, name: app, selector: { app } };
    },
  };
}

function knownPod({ metadata: { name, namespace = 'default', labels = {} } }: ConfigObject): KnownWorkload {
  return { namespace, name, labels };
}

function knownService({ metadata, spec }: ConfigObject): KnownService[] {
  const { selector } = (spec ?? {}) as { selector?: Labels };
  if (!selector || Object.keys(selector).length === 0) return [];
  return [{ namespace: metadata.namespace ?? 'default', name: metadata.name, selector }];
}
