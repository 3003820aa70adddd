import { splitKey } from '../config/object.ts';
import { compareText } from '../kit/maps.ts';
import { serviceKind, servicesByHost } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { inNamespace } from './attributes.ts';

/** Whether an `exportTo` list lets the asking proxy see an object of `namespace`. `*` reads nothing of the proxy. */
export function exported(view: View, exportTo: readonly string[], namespace: string): boolean {
  if (exportTo.includes('*')) return true;
  return exportTo.some(
    (target) => target !== '~' && view.attribute(inNamespace(target === '.' ? namespace : target)),
  );
}

interface Candidate {
  readonly namespace: string;
  readonly exportTo: readonly string[];
  readonly createdAt: string;
  readonly kubernetes: boolean;
}

const candidate = defineQuery('scope.candidate', (view, key: Key): Candidate | undefined => {
  const service = view.get(serviceKind, key);
  return service
    ? {
        namespace: service.namespace,
        exportTo: service.exportTo,
        createdAt: service.createdAt,
        kubernetes: service.source === 'kubernetes',
      }
    : undefined;
});

/** The services of a host that are exported to the asking proxy. */
export function exportedServices(view: View, host: string): Key[] {
  return view.list(servicesByHost, host).filter((key) => {
    const found = view.call(candidate, key);
    return found !== undefined && exported(view, found.exportTo, found.namespace);
  });
}

/** Of several services of one host: the proxy's own namespace's, then Kubernetes services, then the oldest; '' of none. */
export function preferredService(view: View, keys: readonly Key[]): Key {
  const [only] = keys;
  if (keys.length < 2) return only ?? '';
  const own = keys.find((key) => view.attribute(inNamespace(splitKey(key).namespace)));
  if (own !== undefined) return own;
  const rank = (key: Key): string => {
    const found = view.call(candidate, key);
    return `${found?.kubernetes ? 0 : 1} ${found?.createdAt ?? ''} ${key}`;
  };
  return [...keys].sort((a, b) => compareText(rank(a), rank(b)))[0] ?? '';
}
