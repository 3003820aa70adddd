import { parse } from 'yaml';
import type { ProxySettings } from '../../agent/proxy-settings.ts';
import type { ConfigObject } from '../../config/object.ts';
import type { MeshBootstrapPatch } from '../../control-plane/proxy-settings/bootstrap-patches.ts';
import {
  type ProxySources,
  proxyConfigAnnotation,
  proxySettings,
} from '../../control-plane/proxy-settings/proxy-settings.ts';
import { messageOf } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { readJsonFile } from '../state/json-file.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { podLabels } from './mesh-objects.ts';
import type { InstancePlan } from './mesh-plan.ts';
import { type Objects, ObjectsWatch } from './objects-watch.ts';
import { agentConfigPath } from './process-specs.ts';

const rootNamespace = 'istio-system';
const paths = {
  proxyConfigs: '/apis/networking.istio.io/v1beta1/proxyconfigs',
  configMaps: `/api/v1/namespaces/${rootNamespace}/configmaps`,
  pods: '/api/v1/pods',
  envoyFilters: '/apis/networking.istio.io/v1alpha3/envoyfilters',
} as const;

type Collection = keyof typeof paths;

/**
 * Knows the settings of each proxy: those of MeshConfig, of ProxyConfigs, of the Pods' annotations and of EnvoyFilters' BOOTSTRAP
 * patches in the store.
 */
export class ProxySettingsKeeper {
  readonly #watch: ObjectsWatch<Collection>;
  readonly #log: (line: string) => void;
  readonly #told = new Set<string>();
  #sources: ProxySources = { mesh: {}, rootNamespace, proxyConfigs: [] };
  #annotations = new Map<string, string>();
  #known = new WeakMap<InstancePlan, ProxySettings>();

  constructor(options: {
    client: () => ApiClient;
    /** Settings of some proxy may be others now. */
    onChange: () => Promise<void>;
    log: (line: string) => void;
  }) {
    this.#log = options.log;
    this.#watch = new ObjectsWatch<Collection>({
      what: 'settings of proxies',
      paths,
      client: options.client,
      keep,
      onChange: async (objects) => {
        await this.#take(objects);
        await options.onChange();
      },
      log: options.log,
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  /** Takes what there is now, without waiting to be told. */
  async read(signal: AbortSignal): Promise<void> {
    try {
      await this.#take(await this.#watch.list(signal));
    } catch (error) {
      this.#log(`settings of proxies cannot be read now: ${messageOf(error)}`);
    }
  }

  of(instance: InstancePlan): ProxySettings {
    const known = this.#known.get(instance) ?? this.#make(instance);
    this.#known.set(instance, known);
    return known;
  }

  #make(instance: InstancePlan): ProxySettings {
    const { namespace, name } = instance;
    const annotation = this.#annotations.get(`${namespace}/${name}`);
    const settings = proxySettings(this.#sources, {
      namespace,
      labels: podLabels(instance),
      isGateway: instance.gateway !== undefined,
      ...(annotation === undefined ? {} : { annotation }),
    });
    for (const note of settings.notes) this.#tell(`proxy of ${name}: ${note}`);
    return settings;
  }

  async #take({ proxyConfigs, configMaps, pods, envoyFilters }: Objects<Collection>): Promise<void> {
    this.#sources = {
      mesh: await this.#meshDefaults(configMaps),
      rootNamespace,
      proxyConfigs,
      bootstrapPatches: await readPatches(envoyFilters),
    };
    this.#known = new WeakMap();
    this.#annotations = new Map(
      pods.map(({ metadata }) => [
        `${metadata.namespace}/${metadata.name}`,
        metadata.annotations?.[proxyConfigAnnotation] ?? '',
      ]),
    );
  }

  /** As the control plane does: an invalid ConfigMap leaves the settings that are in force, and the control plane says so. */
  async #meshDefaults([configMap]: readonly ConfigObject[]): Promise<ProxySources['mesh']> {
    const text = (configMap?.data as Record<string, string> | undefined)?.mesh;
    if (text === undefined) return {};
    // Eight megabytes that most supervisors never need.
    const { validateMeshConfig } = await import('../../config/kinds/istio/validate-mesh-config.ts');
    try {
      const value = (parse(text) ?? {}) as { defaultConfig?: ProxySources['mesh'] };
      if (
        typeof value === 'object' &&
        validateMeshConfig(value).every(({ severity }) => severity === 'warning')
      )
        return value.defaultConfig ?? {};
    } catch {
      // Not YAML.
    }
    return this.#sources.mesh;
  }

  #tell(line: string): void {
    if (this.#told.has(line)) return;
    if (this.#told.size >= mostTold) this.#told.clear();
    this.#told.add(line);
    this.#log(line);
  }
}

/** Complaints that are remembered, so that each is told once; beyond, all may be told again. */
const mostTold = 1_000;

/** Envoy's messages are read where somebody patches a bootstrap: seldom. */
async function readPatches(filters: readonly ConfigObject[]): Promise<readonly MeshBootstrapPatch[]> {
  if (filters.length === 0) return [];
  const { readBootstrapPatches } = await import('../../control-plane/proxy-settings/bootstrap-patches.ts');
  return readBootstrapPatches(filters, rootNamespace);
}

function patchesBootstrap({ spec }: ConfigObject): boolean {
  const { configPatches } = (spec ?? {}) as { configPatches?: readonly { applyTo?: string }[] };
  return configPatches?.some(({ applyTo }) => applyTo === 'BOOTSTRAP') ?? false;
}

function keep(collection: Collection, object: ConfigObject): ConfigObject | undefined {
  const { apiVersion, kind, metadata, spec } = object;
  const { name, namespace, creationTimestamp, annotations } = metadata;
  const head = {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
  };
  if (collection === 'proxyConfigs') return { ...head, spec };
  if (collection === 'envoyFilters') return patchesBootstrap(object) ? { ...head, spec } : undefined;
  if (collection === 'configMaps') return name === 'istio' ? { ...head, data: object.data } : undefined;
  const annotation = annotations?.[proxyConfigAnnotation];
  if (annotation === undefined) return undefined;
  return { ...head, metadata: { ...head.metadata, annotations: { [proxyConfigAnnotation]: annotation } } };
}

/** Whether the agent of an instance runs with other settings than it is given now. */
export function hasOtherSettings(
  instance: string,
  wanted: Readonly<Record<string, unknown>>,
  statePaths: StatePaths,
): boolean {
  const given = readJsonFile<Record<string, unknown>>(agentConfigPath(statePaths, instance));
  return given !== undefined && settingsIn(given) !== settingsIn(wanted);
}

/** The parts of an agent's configuration that come from its ProxyConfig, and its trust domain. */
function settingsIn({
  trustDomain,
  metadata,
  environment = {},
  envoy,
  drain,
}: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([trustDomain, metadata, environment, { ...(envoy as object), path: '' }, drain]);
}
