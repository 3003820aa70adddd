import { features } from '../features/index.ts';
import { parseClusterName } from '../plan/names.ts';
import { serviceFor } from '../plan/service-scope.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';

/** What a name stands for that a lazy proxy asked for. */
export interface AskedResource {
  /** The host to be remembered; absent: nobody configured it. */
  readonly host?: string;
  /** `<route configuration>/<domain>` to be remembered that nobody configured. */
  readonly unknown?: string;
  /** The resource that answers, if there is one; absent: nothing ever does. */
  readonly resource?: string;
}

/** What a lazy proxy asks for by the name of a cluster or `<route configuration>/<authority>`. */
export const askedResource = defineQuery(
  'lazy.asked-resource',
  (view, typeUrl: Key, name: Key): AskedResource =>
    typeUrl === typeUrls.cluster ? askedCluster(view, name) : askedHost(view, name),
);

function askedCluster(view: View, name: string): AskedResource {
  const host = parseClusterName(name)?.host ?? '';
  return host !== '' && view.call(serviceFor, host) !== '' ? { host, resource: name } : {};
}

function askedHost(view: View, name: string): AskedResource {
  const slash = name.lastIndexOf('/');
  const [routes, authority] = [name.slice(0, slash), name.slice(slash + 1)];
  for (const feature of features)
    for (const shaper of feature.routes ?? []) {
      const asked = shaper.ask?.(view, routes, authority);
      if (!asked) continue;
      return {
        ...(asked.host !== undefined ? { host: asked.host } : {}),
        ...(asked.unknown !== undefined ? { unknown: `${routes}/${asked.unknown}` } : {}),
        ...(asked.name !== undefined ? { resource: `${routes}/${asked.name}` } : {}),
      };
    }
  return {};
}
