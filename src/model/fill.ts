import type { ConfigObject } from '../config/object.ts';
import type { Pod } from '../registry/schema.ts';
import { fillGateways, shapesGateways } from './fill-gateways.ts';
import { fillPods, shapesPods } from './fill-pods.ts';
import { fillServices, shapesServices } from './fill-services.ts';
import { idOf, type ModelObject, type ObjectMap, objectsOfKind } from './model-objects.ts';

/** What a cluster would add to the objects in files. */
export interface Filled {
  /** Objects that are added, or stand in the place of those in the files, by id. */
  readonly objects: ReadonlyMap<string, ConfigObject>;
  /** What was taken for granted, in plain words. */
  readonly assumptions: readonly string[];
}

/** Whether what is filled in may be another thing once this object changed. */
export function shapesFilling(object: ConfigObject): boolean {
  return shapesPods(object) || shapesServices(object) || shapesGateways(object);
}

/** Makes pods, addresses, endpoints and gateway proxies for objects as people write them. Pure; the same for the same objects. */
export function fill(objects: ObjectMap, rootNamespace: string): Filled {
  const assumptions: string[] = [];
  let all = objects;
  let { pods, sidecarsAssumed } = fillPods(all);
  const gateways = fillGateways(all, [...podsOf(all), ...pods] as Pod[], rootNamespace);
  if (gateways.objects.length > 0) {
    all = withObjects(all, gateways.objects);
    ({ pods } = fillPods(all));
  }
  sidecarsAssumed &&= pods.some(
    ({ metadata }) =>
      metadata.ownerReferences !== undefined ||
      objects.has(idOf({ apiVersion: 'v1', kind: 'Pod', metadata })),
  );
  if (sidecarsAssumed)
    assumptions.push(
      'every workload has a sidecar: no namespace and no pod says who has one (label istio-injection)',
    );
  for (const key of gateways.assumed)
    assumptions.push(
      `the gateway ${key.split('/')[1]} runs in namespace ${key.split('/')[0]}: no file holds the pods that the Gateways select`,
    );
  const allPods = withObjects(all, pods);
  const services = fillServices(allPods, podsOf(allPods));
  const added = new Map<string, ConfigObject>();
  for (const object of [...gateways.objects, ...pods, ...services]) added.set(idOf(object), object);
  return { objects: added, assumptions };
}

function podsOf(objects: ObjectMap): Pod[] {
  return [...objectsOfKind<Pod>(objects, '/Pod')];
}

function withObjects(objects: ObjectMap, added: readonly ConfigObject[]): ObjectMap {
  const all = new Map<string, ModelObject>(objects);
  for (const object of added) all.set(idOf(object), { object });
  return all;
}
