import type { Message } from '@bufbuild/protobuf';
import type {
  EnvoyFilterConfigPatches,
  EnvoyFilterConfigPatchesMatch,
  EnvoyFilterSpec,
} from '../../../../gen/crd/types/istio/envoy-filter.ts';
import { parseEnvoyValue } from '../../../config/envoy-value/parse-envoy-value.ts';
import { type ApplyTo, patchTypes } from '../../../config/envoy-value/patch-types.ts';
import { type ConfigObject, splitKey } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { hashText } from '../../../kit/hash.ts';
import { holdsLabels } from '../../../kit/labels.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { MeshProxy } from '../../../snapshot/proxy.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex, defineKindToken } from '../../../snapshot/world.ts';

export type EnvoyFilter = ConfigObject<EnvoyFilterSpec>;
export type Match = EnvoyFilterConfigPatchesMatch;
export type Context = NonNullable<Match['context']>;
export type Operation = NonNullable<NonNullable<EnvoyFilterConfigPatches['patch']>['operation']>;
export type FilterClass = NonNullable<NonNullable<EnvoyFilterConfigPatches['patch']>['filterClass']>;

export const envoyFilterKind = configKind<EnvoyFilterSpec>('EnvoyFilter');

/** Every EnvoyFilter, under ''. */
export const allEnvoyFilters = defineIndex('envoy-filters', envoyFilterKind, () => ['']);

/**
 * EnvoyFilters that made a proxy refuse resources, by the filter's key: the control plane writes them, and such a resource is made
 * without the filter as long as the filter says what it said then.
 */
export interface Quarantine {
  /** `contentOf` the filter that was refused. */
  readonly content: string;
  /** `type URL name` of the resource → what the proxy said. */
  readonly resources: Readonly<Record<string, string>>;
  /** It did so too often: out of force everywhere. */
  readonly everywhere?: boolean;
}

export const quarantineKind = defineKindToken<Quarantine>('envoy-filter-quarantine');

/** Identifies what an EnvoyFilter says, whoever wrote it and when. */
export function contentOf(filter: Pick<EnvoyFilter, 'spec'>): string {
  return hashText(JSON.stringify(filter.spec ?? {}));
}

/** A patch without its value: what decides whether it concerns something. */
export interface PatchHead {
  readonly index: number;
  readonly applyTo: ApplyTo;
  readonly operation: Operation;
  readonly context: Context;
  readonly match: Match;
  readonly filterClass: FilterClass;
}

/** A patch as it is applied. */
export interface Patch extends PatchHead {
  /** `namespace/name#index` */
  readonly id: Key;
  /** Absent: REMOVE, or a value that cannot be read (a problem of the object). */
  readonly value?: Message;
}

export const patchHeads = defineQuery('envoy-filter.heads', (view, key: Key): readonly PatchHead[] => {
  const patches = view.get(envoyFilterKind, key)?.spec?.configPatches ?? [];
  return patches.flatMap(({ applyTo = 'INVALID', match = {}, patch = {} }, index) =>
    applyTo === 'INVALID'
      ? []
      : [
          {
            index,
            applyTo,
            operation: patch.operation ?? 'INVALID',
            context: match.context ?? 'ANY',
            match,
            filterClass: patch.filterClass ?? 'UNSPECIFIED',
          },
        ],
  );
});

export const filterContent = defineQuery('envoy-filter.content', (view, key: Key): string => {
  const filter = view.get(envoyFilterKind, key);
  return filter ? contentOf(filter) : '';
});

const patchValue = defineQuery('envoy-filter.value', (view, id: Key): Message | undefined => {
  const { key, index } = splitPatchId(id);
  const config = view.get(envoyFilterKind, key)?.spec?.configPatches?.[index];
  const { applyTo = 'INVALID', patch } = config ?? {};
  if (applyTo === 'INVALID' || patch?.value === undefined) return undefined;
  const parsed = parseEnvoyValue(patchTypes[applyTo], patch.value);
  return parsed.ok ? parsed.value : undefined;
});

export function patchId(key: Key, index: number): Key {
  return `${key}#${index}`;
}

export function splitPatchId(id: Key): { key: Key; index: number } {
  const hash = id.lastIndexOf('#');
  return { key: id.slice(0, hash), index: Number(id.slice(hash + 1)) };
}

export function patchHead(view: View, id: Key): PatchHead | undefined {
  const { key, index } = splitPatchId(id);
  return view.call(patchHeads, key).find((head) => head.index === index);
}

/** The patches of a set, in order, without those whose value is unreadable. */
export function readPatches(view: View, ids: readonly Key[]): Patch[] {
  return ids.flatMap((id) => {
    const head = patchHead(view, id);
    const value = view.call(patchValue, id);
    if (!head || (!value && head.operation !== 'REMOVE')) return [];
    return [{ ...head, id, ...(value ? { value } : {}) }];
  });
}

export function filterOrigin(key: Key, path: string): Origin {
  return { kind: 'EnvoyFilter', ...splitKey(key), path };
}

export function patchOrigin(id: Key): Origin {
  const { key, index } = splitPatchId(id);
  return filterOrigin(key, `spec.configPatches[${index}]`);
}

const gatewayGroup = 'gateway.networking.k8s.io';

/** What a proxy is, to those who ask whether a filter selects it. */
interface Selectable {
  inNamespace(namespace: string): boolean;
  matches(labels: Readonly<Record<string, string>>): boolean;
}

/** Whether a filter applies to a proxy: namespace, selector, targets. Asks for as little as it needs. */
export function selects(
  filter: EnvoyFilter | undefined,
  namespace: string,
  rootNamespace: string,
  proxy: Selectable,
): boolean {
  const isRoot = namespace === rootNamespace;
  if (!isRoot && !proxy.inNamespace(namespace)) return false;
  const targets = filter?.spec?.targetRefs ?? [];
  if (targets.length === 0) return proxy.matches(filter?.spec?.workloadSelector?.labels ?? {});
  return targets.some(({ group = '', kind, name }) => {
    if (group !== gatewayGroup) return false;
    if (kind === 'Gateway')
      return proxy.inNamespace(namespace) && proxy.matches({ [`${gatewayGroup}/gateway-name`]: name });
    return (
      kind === 'GatewayClass' && isRoot && proxy.matches({ [`${gatewayGroup}/gateway-class-name`]: name })
    );
  });
}

/** The same of a proxy at hand. */
export function selectsProxy(filter: EnvoyFilter, proxy: MeshProxy, rootNamespace: string): boolean {
  return selects(filter, filter.metadata.namespace ?? 'default', rootNamespace, {
    inNamespace: (namespace) => proxy.namespace === namespace,
    matches: (labels) => holdsLabels(proxy.labels, labels),
  });
}
