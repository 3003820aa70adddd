import type { ProxyConfigSpec } from '../../../../gen/crd/types/istio/proxy-config.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';

type ProxyConfig = ConfigObject<ProxyConfigSpec>;

const proxyConfigKind = configKind('ProxyConfig');

/** ProxyConfigs without a selector, under their namespace. */
const forNamespace = defineIndex('proxy-configs-for-namespace', proxyConfigKind, (object: ConfigObject) =>
  isForAll(object as ProxyConfig) ? [namespaceOf(object)] : [],
);

function isForAll({ spec }: ProxyConfig): boolean {
  return Object.keys(spec?.selector?.matchLabels ?? {}).length === 0;
}

function namespaceOf({ metadata }: ConfigObject): string {
  return metadata.namespace ?? 'default';
}

function age({ metadata }: ConfigObject): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
}

/** Of several ProxyConfigs for a whole namespace the oldest counts. What it sets travels with the agents, not over xDS. */
export function proxyConfigProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'ProxyConfig' || !isForAll(object as ProxyConfig)) return [];
  const namespace = namespaceOf(object);
  const [oldest] = view
    .list(forNamespace, namespace)
    .flatMap((key) => (view.get(proxyConfigKind, key) as ConfigObject | undefined) ?? [])
    .sort((a, b) => (age(a) < age(b) ? -1 : 1));
  if (!oldest || oldest.metadata.name === object.metadata.name) return [];
  const origin = { kind: 'ProxyConfig', namespace, name: object.metadata.name, path: '' };
  const message = `${oldest.metadata.name} is older and for the same namespace: it alone counts; remove one of the two`;
  return [{ origin, code: 'Overridden', message }];
}
