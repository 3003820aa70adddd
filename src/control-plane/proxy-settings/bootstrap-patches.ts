import { toJson } from '@bufbuild/protobuf';
import { BootstrapSchema } from '../../../gen/proto/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { BootstrapPatch } from '../../agent/merge-bootstrap.ts';
import { envoyTypes } from '../../config/envoy-value/envoy-types.ts';
import { parseEnvoyValue } from '../../config/envoy-value/parse-envoy-value.ts';
import type { ConfigObject } from '../../config/object.ts';
import { compileRegex } from '../../config/schema/regex.ts';
import { type EnvoyFilter, patchId, selects } from '../../features/extensibility/envoy-filter/schema.ts';
import { holdsLabels } from '../../kit/labels.ts';
import { compareText } from '../../kit/maps.ts';

/** A proxy, to those who ask which BOOTSTRAP patches are for it. */
export interface PatchedProxy {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isGateway: boolean;
  /** Of its node. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A patch with the question whom it is for. */
export interface MeshBootstrapPatch extends BootstrapPatch {
  isFor(proxy: PatchedProxy): boolean;
}

/**
 * The BOOTSTRAP patches of all EnvoyFilters in Istio's order: priority, the root namespace, age, name. Unreadable values are left out:
 * the control plane says so on the object.
 */
export function readBootstrapPatches(
  filters: readonly ConfigObject[],
  rootNamespace: string,
): MeshBootstrapPatch[] {
  const order = ({ spec, metadata }: EnvoyFilter) => {
    const { namespace = 'default', name, creationTimestamp = '' } = metadata;
    const priority = String((spec?.priority ?? 0) + 2 ** 31).padStart(10, '0');
    return `${priority} ${namespace === rootNamespace ? 0 : 1} ${creationTimestamp} ${name}.${namespace}`;
  };
  return (filters as readonly EnvoyFilter[])
    .toSorted((a, b) => compareText(order(a), order(b)))
    .flatMap((filter) => patchesOf(filter, rootNamespace));
}

function patchesOf(filter: EnvoyFilter, rootNamespace: string): MeshBootstrapPatch[] {
  const { namespace = 'default', name } = filter.metadata;
  return (filter.spec?.configPatches ?? []).flatMap(({ applyTo, match = {}, patch }, index) => {
    if (applyTo !== 'BOOTSTRAP' || patch?.operation !== 'MERGE' || patch.value === undefined) return [];
    const parsed = parseEnvoyValue(BootstrapSchema, patch.value);
    if (!parsed.ok) return [];
    const value = toJson(BootstrapSchema, parsed.value, { registry: envoyTypes, useProtoFieldName: true });
    const contexts = (isGateway: boolean) =>
      isGateway ? ['ANY', 'GATEWAY'] : ['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND'];
    return [
      {
        id: patchId(`${namespace}/${name}`, index),
        value: value as Record<string, unknown>,
        isFor: (proxy: PatchedProxy) =>
          contexts(proxy.isGateway).includes(match.context ?? 'ANY') &&
          isRight(match.proxy, proxy) &&
          selects(filter, namespace, rootNamespace, {
            inNamespace: (other) => proxy.namespace === other,
            matches: (labels) => holdsLabels(proxy.labels, labels),
          }),
      },
    ];
  });
}

type ProxyMatch = { readonly proxyVersion?: string; readonly metadata?: Readonly<Record<string, string>> };

function isRight({ proxyVersion = '', metadata = {} }: ProxyMatch = {}, proxy: PatchedProxy): boolean {
  const version = String(proxy.metadata.ISTIO_VERSION ?? '');
  if (proxyVersion !== '' && !(compileRegex(proxyVersion)?.find(version) ?? false)) return false;
  return Object.entries(metadata).every(([name, value]) => proxy.metadata[name] === value);
}
