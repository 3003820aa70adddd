import type { WorkloadGroupSpec } from '../../../gen/crd/types/istio/workload-group.ts';
import type { ProxySettings } from '../../agent/proxy-settings.ts';
import type { ConfigObject } from '../../config/object.ts';
import type { ConfigChange } from '../../config/sources/source.ts';
import type { ProxySettingsRequest } from '../../kit/proxy-settings-call.ts';
import type { MeshConfig } from '../../registry/mesh-config.ts';
import type { ConfigMerge } from '../config-merge.ts';
import { type MeshBootstrapPatch, readBootstrapPatches } from './bootstrap-patches.ts';
import { proxyConfigAnnotation, proxySettings } from './proxy-settings.ts';

/** What there is to read beside the objects that are told. */
interface MeshObjects {
  readonly mesh: MeshConfig;
  /** Objects in force. */
  readonly merge: Pick<ConfigMerge, 'get'>;
}

/** Answers what a proxy is to be started with, from the objects in force. */
export class SettingsBook {
  readonly #state: () => MeshObjects;
  readonly #objects = {
    ProxyConfig: new Map<string, ConfigObject>(),
    EnvoyFilter: new Map<string, ConfigObject>(),
  };
  #patches: readonly MeshBootstrapPatch[] | undefined;

  constructor(state: () => MeshObjects) {
    this.#state = state;
  }

  observe(changes: readonly ConfigChange[]): void {
    for (const { kind, key, object } of changes) {
      if (kind !== 'ProxyConfig' && kind !== 'EnvoyFilter') continue;
      if (object) this.#objects[kind].set(key, object);
      else this.#objects[kind].delete(key);
      this.#patches = undefined;
    }
  }

  /** Changes with the objects. */
  patches(): readonly MeshBootstrapPatch[] {
    this.#patches ??= readBootstrapPatches(
      [...this.#objects.EnvoyFilter.values()],
      this.#state().mesh.rootNamespace,
    );
    return this.#patches;
  }

  of({ workload, namespace, labels, proxyType, group, metadata }: ProxySettingsRequest): ProxySettings {
    const { rootNamespace, extra } = this.#state().mesh;
    const annotation = this.#annotation(`${namespace}/${workload}`, group && `${namespace}/${group}`);
    return proxySettings(
      {
        mesh: (extra.defaultConfig ?? {}) as Readonly<Record<string, unknown>>,
        rootNamespace,
        proxyConfigs: [...this.#objects.ProxyConfig.values()],
        bootstrapPatches: this.patches(),
      },
      {
        namespace,
        labels,
        isGateway: proxyType === 'router',
        metadata,
        ...(annotation === undefined ? {} : { annotation }),
      },
    );
  }

  /** A Pod's own, or that which its WorkloadGroup gives its workloads. */
  #annotation(pod: string, group: string | undefined): string | undefined {
    const { merge } = this.#state();
    const own = merge.get('', 'Pod', pod)?.metadata.annotations?.[proxyConfigAnnotation];
    if (own !== undefined || group === undefined) return own;
    const spec = merge.get('networking.istio.io', 'WorkloadGroup', group)?.spec as
      | WorkloadGroupSpec
      | undefined;
    return spec?.metadata?.annotations?.[proxyConfigAnnotation];
  }
}
