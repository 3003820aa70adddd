import { parse } from 'yaml';
import { istioVersion } from '../../agent/envoy-bootstrap.ts';
import { type BootstrapPatch, mostBootstrapPatches } from '../../agent/merge-bootstrap.ts';
import type { ProxySettings } from '../../agent/proxy-settings.ts';
import { keyTypes } from '../../ca/client.ts';
import { durationNanos } from '../../config/kinds/istio/durations.ts';
import type { ConfigObject } from '../../config/object.ts';
import { compileRegex } from '../../config/schema/regex.ts';
import { isObject } from '../../kit/json.ts';
import type { MeshBootstrapPatch } from './bootstrap-patches.ts';

type Json = Readonly<Record<string, unknown>>;

/** The annotation by which a Pod has a ProxyConfig of its own. */
export const proxyConfigAnnotation = 'proxy.istio.io/config';

/** Where the settings of proxies come from. */
export interface ProxySources {
  /** MeshConfig `defaultConfig`. */
  readonly mesh: Json;
  readonly rootNamespace: string;
  readonly proxyConfigs: readonly ConfigObject[];
  /** BOOTSTRAP patches of EnvoyFilters, in order. Default none. */
  readonly bootstrapPatches?: readonly MeshBootstrapPatch[];
}

/** Whose settings. */
export interface ProxyOwner {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Its annotation's text. */
  readonly annotation?: string;
  /** Default: a sidecar. */
  readonly isGateway?: boolean;
  /** Metadata that its node has in any case. Default none. */
  readonly metadata?: Json;
}

/** Fields of an annotation that this, or the control plane, acts on. */
const actedOn = new Set([
  'concurrency',
  'proxyMetadata',
  'proxyStatsMatcher',
  'drainDuration',
  'terminationDrainDuration',
  'holdApplicationUntilProxyStarts',
  'gatewayTopology',
  'proxyHeaders',
  'connectionSettings',
]);

/** Switches in the mesh's `proxyMetadata` that the control plane reads: no proxy is started anew for them. */
const ofControlPlane = /^(OSTRIA_|PILOT_|ISTIO_META_HTTP10$)/;
/** Would load code into Envoy: whoever writes configuration does not run programs on this machine by it. */
const ofLoader = /^(LD_|DYLD_|GLIBC_TUNABLES$)/;
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const mostSeconds = 3_600;
const mostPatterns = 200;

/**
 * Mesh, root namespace, namespace, annotation, selector: the later goes before the earlier, variable by variable; of several
 * ProxyConfigs of one rank the oldest counts. As Istio has it, an annotation yields to a ProxyConfig that selects the workload.
 */
export function proxySettings(sources: ProxySources, owner: ProxyOwner): ProxySettings {
  const notes: string[] = [];
  const { namespace } = owner;
  const annotation = parseAnnotation(owner.annotation, notes);
  for (const field of Object.keys(annotation))
    if (!actedOn.has(field)) notes.push(`${field} of its annotation is not acted on`);
  const own = [
    ofNamespace(sources, sources.rootNamespace),
    ...(namespace === sources.rootNamespace ? [] : [ofNamespace(sources, namespace)]),
    annotation,
    selecting(sources, owner),
  ];
  const ownConfig = own.reduce(merge, {});
  const config = merge(withoutSwitches(sources.mesh), ownConfig);
  const { environment, metadata } = variables(config.proxyMetadata, notes);
  const reported = reportedConfig(sources.mesh, ownConfig, annotation);
  const { concurrency, drainDuration, terminationDrainDuration } = config;
  const threads = wholeNumber(concurrency, 1_024, 'concurrency', notes);
  const drain = seconds(drainDuration, 'drainDuration', notes);
  const termination = seconds(terminationDrainDuration, 'terminationDrainDuration', notes);
  const connections = maxConnections(config.connectionSettings, notes);
  const stats = patterns(config.proxyStatsMatcher, notes);
  const allMetadata = { ...metadata, ...reported };
  const bootstrapPatches = ownPatches(sources, owner, allMetadata, notes);
  return {
    ...(threads === undefined ? {} : { concurrency: threads }),
    environment,
    metadata: allMetadata,
    ...(connections === undefined ? {} : { maxConnections: connections }),
    ...(stats ? { stats } : {}),
    ...(bootstrapPatches.length > 0 ? { bootstrapPatches } : {}),
    ...(drain === undefined ? {} : { drainSeconds: drain }),
    ...(termination === undefined ? {} : { terminationDrainSeconds: termination }),
    ...certificateSettings(environment, notes),
    holdApplication: config.holdApplicationUntilProxyStarts === true,
    notes,
  };
}

function ownPatches(
  { bootstrapPatches = [] }: ProxySources,
  { namespace, labels, isGateway = false, metadata: own = {} }: ProxyOwner,
  metadata: Json,
  notes: string[],
): BootstrapPatch[] {
  const proxy = {
    namespace,
    labels,
    isGateway,
    metadata: { ISTIO_VERSION: istioVersion, ...metadata, ...own },
  };
  const patches = bootstrapPatches
    .filter((patch) => patch.isFor(proxy))
    .map(({ id, value }) => ({ id, value }));
  if (patches.length > mostBootstrapPatches)
    notes.push(`of its ${patches.length} BOOTSTRAP patches the first ${mostBootstrapPatches} are taken`);
  return patches.slice(0, mostBootstrapPatches);
}

/**
 * What the control plane is told of a proxy's own configuration; what the mesh says it knows, and the annotation's headers and
 * connections it reads in the Pod.
 */
function reportedConfig(mesh: Json, own: Json, { gatewayTopology }: Json): Json {
  const { proxyMetadata } = own;
  const config = {
    ...(isObject(gatewayTopology) ? { gatewayTopology } : {}),
    ...(isObject(proxyMetadata)
      ? { proxyMetadata: merge(isObject(mesh.proxyMetadata) ? mesh.proxyMetadata : {}, proxyMetadata) }
      : {}),
  };
  return Object.keys(config).length > 0 ? { PROXY_CONFIG: config } : {};
}

function parseAnnotation(text: string | undefined, notes: string[]): Json {
  if (text === undefined) return {};
  try {
    const value: unknown = parse(text);
    if (value === null) return {};
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  notes.push('its annotation is no YAML object');
  return {};
}

/** A ProxyConfig in the words of MeshConfig. */
function inWordsOfMesh(found: ConfigObject | undefined): Json {
  const { concurrency, environmentVariables } = (found?.spec ?? {}) as Json;
  return {
    ...(concurrency === undefined || concurrency === null ? {} : { concurrency }),
    ...(isObject(environmentVariables) ? { proxyMetadata: environmentVariables } : {}),
  };
}

function byAge(sources: ProxySources, namespace: string): ConfigObject[] {
  const age = ({ metadata }: ConfigObject) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  return sources.proxyConfigs
    .filter(({ metadata }) => (metadata.namespace ?? 'default') === namespace)
    .sort((a, b) => (age(a) < age(b) ? -1 : 1));
}

function labelsOfSelector({ spec }: ConfigObject): [string, string][] {
  const { selector } = (spec ?? {}) as { selector?: { matchLabels?: Record<string, string> } | null };
  return Object.entries(selector?.matchLabels ?? {});
}

function ofNamespace(sources: ProxySources, namespace: string): Json {
  return inWordsOfMesh(
    byAge(sources, namespace).find((candidate) => labelsOfSelector(candidate).length === 0),
  );
}

function selecting(sources: ProxySources, { namespace, labels }: ProxyOwner): Json {
  return inWordsOfMesh(
    byAge(sources, namespace).find((candidate) => {
      const wanted = labelsOfSelector(candidate);
      return wanted.length > 0 && wanted.every(([name, value]) => labels[name] === value);
    }),
  );
}

/** Objects field by field, lists one after the other, as messages are merged. */
function merge(below: Json, above: Json): Json {
  const merged: Record<string, unknown> = { ...below };
  for (const [field, value] of Object.entries(above)) {
    const before = merged[field];
    if (isObject(before) && isObject(value)) merged[field] = merge(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) merged[field] = [...before, ...value];
    else if (value !== undefined && value !== null) merged[field] = value;
  }
  return merged;
}

function withoutSwitches(mesh: Json): Json {
  if (!isObject(mesh.proxyMetadata)) return mesh;
  const kept = Object.entries(mesh.proxyMetadata).filter(([name]) => !ofControlPlane.test(name));
  return { ...mesh, proxyMetadata: Object.fromEntries(kept) };
}

const longestTtlSeconds = 90 * 86_400;

/** SECRET_TTL, ECC_SIGNATURE_ALGORITHM with ECC_CURVE, WORKLOAD_RSA_KEY_SIZE. Without any the key is ECDSA P-256. */
function certificateSettings(
  {
    SECRET_TTL: ttl,
    ECC_SIGNATURE_ALGORITHM: ecc,
    ECC_CURVE: curve,
    WORKLOAD_RSA_KEY_SIZE: rsa,
  }: Readonly<Record<string, string>>,
  notes: string[],
): Pick<ProxySettings, 'certificate'> {
  const ttlSeconds = ttl === undefined ? undefined : Number(durationNanos(ttl) ?? 0n) / 1e9;
  const goodTtl = ttlSeconds !== undefined && ttlSeconds >= 1 && ttlSeconds <= longestTtlSeconds;
  if (ttlSeconds !== undefined && !goodTtl) notes.push(`SECRET_TTL ${ttl} is no duration from 1s to 2160h`);
  const wanted = ecc ? `ecdsa-${(curve || 'P256').toLowerCase()}` : rsa ? `rsa-${rsa}` : undefined;
  const keyType = keyTypes.find((type) => type === wanted);
  if (wanted !== undefined && keyType === undefined) notes.push(`there are no keys of the kind ${wanted}`);
  const certificate = { ...(goodTtl ? { ttlSeconds } : {}), ...(keyType ? { keyType } : {}) };
  return Object.keys(certificate).length > 0 ? { certificate } : {};
}

const metaPrefix = 'ISTIO_META_';
const jsonPrefix = 'ISTIO_METAJSON_';

/** Variables as Envoy has them; those with Istio's prefixes are metadata of the node as well. */
function variables(value: unknown, notes: string[]): Pick<ProxySettings, 'environment' | 'metadata'> {
  const environment: Record<string, string> = {};
  const metadata: Record<string, unknown> = {};
  for (const [name, raw] of Object.entries(isObject(value) ? value : {}).sort()) {
    const text = typeof raw === 'object' ? undefined : String(raw);
    if (text === undefined || text.includes('\0') || !variableName.test(name) || ofLoader.test(name)) {
      notes.push(`the variable ${name} cannot be set`);
      continue;
    }
    environment[name] = text;
    if (name.startsWith(metaPrefix)) metadata[name.slice(metaPrefix.length)] = text;
    if (!name.startsWith(jsonPrefix)) continue;
    try {
      metadata[name.slice(jsonPrefix.length)] = JSON.parse(text);
    } catch {
      notes.push(`the variable ${name} is no JSON, so it is no metadata`);
    }
  }
  return { environment, metadata };
}

function wholeNumber(value: unknown, most: number, field: string, notes: string[]): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  notes.push(`${field} must be a whole number from 0 to ${most}`);
  return undefined;
}

function maxConnections(settings: unknown, notes: string[]): number | undefined {
  const limit = isObject(settings) ? settings.globalDownstreamConnectionLimit : undefined;
  const field = 'connectionSettings.globalDownstreamConnectionLimit';
  // As an annotation has it, zero would be a proxy that nobody can call.
  return wholeNumber(limit ?? undefined, 2 ** 31 - 1, field, notes) || undefined;
}

function seconds(value: unknown, field: string, notes: string[]): number | undefined {
  if (value === undefined) return undefined;
  const nanos = typeof value === 'string' ? durationNanos(value) : undefined;
  if (nanos !== undefined && nanos >= 0n && nanos <= BigInt(mostSeconds) * 1_000_000_000n)
    return Number(nanos) / 1e9;
  notes.push(`${field} must be a duration of at most ${mostSeconds}s`);
  return undefined;
}

function patterns(value: unknown, notes: string[]): ProxySettings['stats'] {
  if (!isObject(value)) return undefined;
  const list = (field: string, serves: (text: string) => boolean = () => true): string[] => {
    const given = value[field] ?? [];
    const texts = (Array.isArray(given) ? given : [given]).filter(
      (text): text is string => typeof text === 'string' && text !== '',
    );
    const taken = texts.filter(serves).slice(0, mostPatterns);
    if (!Array.isArray(given) || taken.length < given.length)
      notes.push(`not all of proxyStatsMatcher.${field} can be used: at most ${mostPatterns} valid ones are`);
    return taken;
  };
  return {
    prefixes: list('inclusionPrefixes'),
    suffixes: list('inclusionSuffixes'),
    // Envoy does not start with an expression that it cannot read.
    regexps: list('inclusionRegexps', (text) => compileRegex(text) !== undefined),
  };
}
