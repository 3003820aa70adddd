import type { Model, ModelWorkload } from '../model/model.ts';
import { splitSocket } from './hop.ts';

const indexes = new WeakMap<Model, ReadonlyMap<string, ModelWorkload>>();

/** The workload behind `address:port`. In explicit capture all share one address: the port tells. */
export function workloadAt(model: Model, socket: string): ModelWorkload | undefined {
  const index = indexOf(model);
  return index.get(socket) ?? index.get(splitSocket(socket).address);
}

function indexOf(model: Model): ReadonlyMap<string, ModelWorkload> {
  let index = indexes.get(model);
  if (!index) {
    const made = new Map<string, ModelWorkload>();
    for (const one of model.workloads.values()) {
      const { explicit } = one.proxy ?? {};
      const ports = [
        ...(explicit?.inbound ?? []).map(({ listen }) => listen),
        ...Object.values(explicit?.gateway ?? {}),
      ];
      for (const address of one.workload.addresses) {
        if (!explicit) made.set(address, one);
        for (const port of ports) made.set(`${address}:${port}`, one);
      }
    }
    index = made;
    indexes.set(model, index);
  }
  return index;
}

/** `reviews-v1-0 (10.244.1.2:9080)`. */
export function socketWords(model: Model, socket: string): string {
  const workload = workloadAt(model, socket);
  return workload ? `${workload.workload.name} (${socket})` : socket;
}
