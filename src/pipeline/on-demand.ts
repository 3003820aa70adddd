import { features } from '../features/index.ts';
import { isLazy } from '../plan/lazy.ts';
import { parseClusterName } from '../plan/names.ts';
import { serviceFor } from '../plan/service-scope.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';

/** What a name stands for that a lazy proxy asked for. */
export interface AskedResource {
  /** The host to be remembered; absent: nobody configured it. */
  readonly host?: string;
  /** The resource that answers, if there is one; absent: nothing ever does. */
  readonly resource?: string;
}

/** What a lazy proxy asks for by the name of a cluster or `<route configuration>/<authority>`; undefined where the proxy is not lazy. */
export function findAsked(view: View, typeUrl: string, name: string): AskedResource | undefined {
  if (!view.call(isLazy)) return undefined;
  if (typeUrl === typeUrls.cluster) {
    const host = parseClusterName(name)?.host ?? '';
    return host !== '' && view.call(serviceFor, host) !== '' ? { host, resource: name } : {};
  }
  const slash = name.lastIndexOf('/');
  const [routes, authority] = [name.slice(0, slash), name.slice(slash + 1)];
  for (const feature of features)
    for (const shaper of feature.routes ?? []) {
      const asked = shaper.ask?.(view, routes, authority);
      if (!asked) continue;
      return {
        ...(asked.host !== undefined ? { host: asked.host } : {}),
        ...(asked.name !== undefined ? { resource: `${routes}/${asked.name}` } : {}),
      };
    }
  return {};
}
