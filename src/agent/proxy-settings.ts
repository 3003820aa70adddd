import type { KeyType } from '../ca/client.ts';
import type { BootstrapPatch } from './merge-bootstrap.ts';

type Json = Readonly<Record<string, unknown>>;

/** What a proxy is started with: what MeshConfig, ProxyConfigs, annotations and EnvoyFilters' BOOTSTRAP patches come to. */
export interface ProxySettings {
  /** Worker threads; 0: one per processor. */
  readonly concurrency?: number;
  /** Further variables of Envoy's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Further metadata of its node. */
  readonly metadata: Json;
  /** Connections of clients, in all. */
  readonly maxConnections?: number;
  /** Statistics to keep. */
  readonly stats?: Readonly<Record<'prefixes' | 'suffixes' | 'regexps', readonly string[]>>;
  /** What EnvoyFilters merge into Envoy's bootstrap. */
  readonly bootstrapPatches?: readonly BootstrapPatch[];
  /** How long connections end when a listener changes. */
  readonly drainSeconds?: number;
  /** How long requests may take to end when the proxy does. */
  readonly terminationDrainSeconds?: number;
  /** Lifetime and key of the workload's certificate, by the variables that Istio's agent reads. */
  readonly certificate?: { readonly ttlSeconds?: number; readonly keyType?: KeyType };
  /** The application starts once the proxy is ready. */
  readonly holdApplication: boolean;
  /** What is set for this proxy alone and cannot be acted on, in words. */
  readonly notes: readonly string[];
}

const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** An agent's configuration as its file has it, with the mesh's settings below: what the file says itself goes before them. */
export function withProxySettings(file: unknown, settings: ProxySettings): Json {
  const own = object(file);
  const envoy = object(own.envoy);
  const stats = object(envoy.stats);
  const given = <T>(name: string, value: T | undefined) => (value === undefined ? {} : { [name]: value });
  return {
    ...own,
    metadata: { ...settings.metadata, ...object(own.metadata) },
    environment: { ...settings.environment, ...object(own.environment) },
    certificate: { ...settings.certificate, ...object(own.certificate) },
    drain: { ...given('seconds', settings.terminationDrainSeconds), ...object(own.drain) },
    envoy: {
      ...given('concurrency', settings.concurrency),
      ...given('drainSeconds', settings.drainSeconds),
      ...given('maxConnections', settings.maxConnections),
      ...envoy,
      stats: {
        ...stats,
        ...Object.fromEntries(
          Object.entries(settings.stats ?? {}).map(([kind, patterns]) => [
            kind,
            [...patterns, ...list(stats[kind])],
          ]),
        ),
      },
      bootstrapPatches: [...(settings.bootstrapPatches ?? []), ...list(envoy.bootstrapPatches)],
    },
  };
}
