import type { ConfigObject } from '../../config/object.ts';
import type { ExplicitCapture } from '../../snapshot/proxy.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import type { PortWish } from '../state/port-book.ts';
import { instanceObjects, instanceStatuses } from '../supervisor/mesh-objects.ts';
import { type Ports, planMesh } from '../supervisor/mesh-plan.ts';

export interface PlannedInstances {
  /** Pods and WorkloadEntries, ready. */
  readonly objects: readonly ConfigObject[];
  /** By `namespace/name`. */
  readonly captures: ReadonlyMap<string, ExplicitCapture>;
}

/** The copies of workloads that `ostria up` would start for a mesh file, as if all were well; undefined where it does not read. */
export async function plannedInstances(file: string): Promise<PlannedInstances | undefined> {
  const result = readMeshFile(file);
  if (!result.ok) return undefined;
  const { instances } = await planMesh(result.mesh, new ThoughtOfPorts());
  return {
    objects: instances.flatMap((instance) => {
      const statuses = instanceStatuses(instance, {
        ready: true,
        why: '',
        since: started,
        restarts: 0,
        startedAt: started,
        proxyNotes: [],
      });
      return instanceObjects(instance).map((object, index) => ({
        ...object,
        status: statuses[index]?.status,
      }));
    }),
    captures: new Map(instances.map(({ namespace, name, capture }) => [`${namespace}/${name}`, capture])),
  };
}

const started = '1970-01-01T00:00:00Z';

/** Numbers from the base on, wishes as they are: nobody listens on them. */
class ThoughtOfPorts implements Ports {
  readonly #ports = new Map<string, number>();
  #next = 21_000;

  async assign(wishes: readonly PortWish[]): Promise<void> {
    for (const { key, exact, preferred, offset } of wishes)
      if (!this.#ports.has(key))
        this.#ports.set(key, exact ?? preferred ?? (offset === undefined ? this.#next++ : 20_000 + offset));
  }

  port(key: string): number {
    const port = this.#ports.get(key);
    if (port === undefined) throw new Error(`no port was assigned to ${key}`);
    return port;
  }

  keepOnly(): void {
    // Nothing is remembered.
  }
}
