import type { Model, ModelWorkload } from '../model/model.ts';
import { socketText, splitSocket } from './hop.ts';

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
    const all = [...model.workloads.values()];
    const shared = sharedAddresses(all);
    const ownAddresses = ({ workload, proxy }: ModelWorkload) =>
      proxy?.explicit
        ? []
        : workload.addresses.filter(
            (address) => !shared.has(address) || Object.keys(workload.ports).length === 0,
          );
    // What holds a port for certain goes before what an entry says of one, and that before whole addresses.
    for (const socketsOf of [ownAddresses, namedPorts, capturedPorts])
      for (const one of all) for (const socket of socketsOf(one)) made.set(socket, one);
    index = made;
    indexes.set(model, index);
  }
  return index;
}

/** Addresses that several workloads have: ports tell them apart. */
function sharedAddresses(all: readonly ModelWorkload[]): ReadonlySet<string> {
  const claims = Map.groupBy(
    all.flatMap(({ workload }) => workload.addresses),
    (address) => address,
  );
  return new Set([...claims].flatMap(([address, { length }]) => (length > 1 ? address : [])));
}

function namedPorts({ workload: { addresses, ports } }: ModelWorkload): string[] {
  return addresses.flatMap((address) => Object.values(ports).map((port) => socketText(address, port)));
}

function capturedPorts({ workload, proxy }: ModelWorkload): string[] {
  const { inbound = [], gateway = {} } = proxy?.explicit ?? {};
  const ports = [...inbound.map(({ listen }) => listen), ...Object.values(gateway)];
  return workload.addresses.flatMap((address) => ports.map((port) => socketText(address, port)));
}

/** `reviews-v1-0 (10.244.1.2:9080)`. */
export function socketWords(model: Model, socket: string): string {
  const workload = workloadAt(model, socket);
  return workload ? `${workload.workload.name} (${socket})` : socket;
}
