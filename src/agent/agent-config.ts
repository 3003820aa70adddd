import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { type KeyType, keyTypes } from '../ca/client.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { isObject } from '../kit/json.ts';
import { isSwitchedOn } from '../kit/switched-on.ts';
import type { ExplicitCapture } from '../snapshot/proxy.ts';
import { type BootstrapPatch, mostBootstrapPatches } from './merge-bootstrap.ts';
import { type ProxySettings, withProxySettings } from './proxy-settings.ts';

/** What an agent is told by its supervisor (a JSON file) or by its pod (environment variables). */
export interface AgentConfig {
  /** Workload (pod) name. */
  workload: string;
  namespace: string;
  /** Default `default`. */
  serviceAccount: string;
  /** Default `cluster.local`. */
  trustDomain: string;
  labels: Record<string, string>;
  /** The workload's IP addresses, the primary first. Default `127.0.0.1`. */
  addresses: string[];
  /** Default `sidecar`. */
  proxyType: 'sidecar' | 'router';
  /** Default `<namespace>.svc.cluster.local`. */
  dnsDomain: string;
  /** Default `Kubernetes`. */
  clusterId: string;
  network: string;
  /** WorkloadGroup of the same namespace that the workload registers with. */
  group?: string;
  locality: { region?: string; zone?: string; subZone?: string };
  /**
   * Where settings beyond this file come from: `mesh` (default) asks the control plane before each start of Envoy for what MeshConfig,
   * ProxyConfigs and BOOTSTRAP patches say, below what the file says; `file`: from the file alone.
   */
  proxySettings: 'mesh' | 'file';
  /** Further node metadata; it does not override what the agent knows itself. */
  metadata: Record<string, unknown>;
  /** Further variables of Envoy's environment. */
  environment: Record<string, string>;
  /** Explicit capture, see the design's section 4; sent as node metadata `OSTRIA_CAPTURE`. */
  capture?: ExplicitCapture;
  /** Absolute; made with mode 0700. Key, certificate, sockets, bootstrap and logs live there. */
  stateDirectory: string;
  controlPlane: {
    /** `host:port` of xDS and the certificate authority. */
    address: string;
    /** Name in the control plane's certificate. Default `istiod.istio-system.svc`. */
    serverName: string;
    /** PEM file of the mesh's root; read again at each use. */
    rootFile: string;
  };
  credential: {
    /** Read again at each try; of one use. */
    joinTokenFile?: string;
    /** Read again at each try; the platform rotates it. */
    serviceAccountTokenFile?: string;
  };
  /** A unix socket that serves the workload's certificate and its trust by SDS, as SPIRE's agent does; then we ask for none. */
  identitySocket?: string;
  certificate: {
    /** Wanted lifetime in seconds. Default 86,400. */
    ttlSeconds: number;
    /** Kind of the private key. Default `ecdsa-p256`. */
    keyType: KeyType;
  };
  ports: {
    /** `/healthz/ready`. 0: none. */
    readiness: number;
    /** `/stats/prometheus`, `/quitquitquit`, `/drain`. 0: none. */
    metrics: number;
    /** The workload's DNS queries, over UDP and TCP on loopback. 0: none. Default 0; 15053 where the metadata say `DNS_CAPTURE: "true"`. */
    dns: number;
  };
  /** Address of the agent's two ports. Default 127.0.0.1; in pods the pod's own. */
  bindAddress: string;
  envoy: {
    /** Absolute. Default: found as `findEnvoy` does. */
    path?: string;
    /** Worker threads; 0: one per processor. Default 1. */
    concurrency: number;
    /** How long connections end, in seconds, when their listener changes. Default: `drain.seconds`. */
    drainSeconds?: number;
    /** Default `warning`. */
    logLevel: string;
    /** Log file bound in bytes, with one older file beside it. Default 10 MiB. */
    maxLogBytes: number;
    /** Downstream connections in all. Default 50,000. */
    maxConnections: number;
    /** Further statistics to keep, by prefix, suffix or regular expression. */
    stats: { prefixes: string[]; suffixes: string[]; regexps: string[] };
    /** EnvoyFilters' patches of its bootstrap, in order; at most 64. Default none. */
    bootstrapPatches: readonly BootstrapPatch[];
  };
  drain: {
    /** Longest wait for requests to end, in seconds. Default 45. */
    seconds: number;
    /** Shortest, in seconds: "no request now" is also true between two requests. Default 5. */
    minimumSeconds: number;
    /** POSTed at the start of a drain; it answers once no peer has this endpoint any more (at most 10 s are waited). */
    hookUrl?: string;
  };
  /** The application's own Prometheus metrics, merged into ours. */
  applicationMetrics?: { port: number; path: string };
  /** Default `info`. */
  logLevel: LogLevel;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const ENVOY_LOG_LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'];
const MAX_CONFIG = 1 << 20;
const istioDnsPort = 15_053;
/** Where pods find somebody else's SDS socket, as Istio's agent does. */
const identityDirectory = '/var/run/secrets/workload-spiffe-uds';

type Json = Record<string, unknown>;

/** The agent's configuration with the mesh's settings of its proxy, or without. Throws `AgentConfigInvalid` with every complaint. */
export type Configure = (settings?: ProxySettings) => AgentConfig;

/** Of a configuration as it was read; `from` names it in complaints. */
export function configurer(value: unknown, from: string): Configure {
  return (settings) => {
    const parsed = parseAgentConfig(settings ? withProxySettings(value, settings) : value);
    if (parsed.ok) return parsed.config;
    throw new CodedError('AgentConfigInvalid', `${from}: ${parsed.errors.join('; ')}`);
  };
}

/** Reads the JSON file. Throws `AgentConfigInvalid` with every complaint. */
export async function readAgentConfig(path: string): Promise<Configure> {
  let value: unknown;
  try {
    const text = await readFile(path, 'utf8');
    if (text.length > MAX_CONFIG) throw new Error(`more than ${MAX_CONFIG} bytes`);
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError(
      'AgentConfigInvalid',
      `cannot read the agent's configuration ${path}: ${messageOf(error)}`,
    );
  }
  const configure = configurer(value, path);
  configure();
  return configure;
}

/** The configuration as pods give it: variables named as Istio's agent names them. */
export function agentConfigFromEnvironment(env: Readonly<Record<string, string | undefined>>): unknown {
  const socket =
    env.OSTRIA_IDENTITY_SOCKET ?? `${identityDirectory}/${env.WORKLOAD_IDENTITY_SOCKET_FILE ?? 'socket'}`;
  const stateDirectory = env.OSTRIA_STATE_DIRECTORY ?? '/var/lib/ostria/proxy';
  return {
    workload: env.POD_NAME,
    namespace: env.POD_NAMESPACE,
    serviceAccount: env.SERVICE_ACCOUNT,
    trustDomain: env.TRUST_DOMAIN,
    labels: env.ISTIO_METAJSON_LABELS ? JSON.parse(env.ISTIO_METAJSON_LABELS) : undefined,
    addresses: env.INSTANCE_IP ? env.INSTANCE_IP.split(',') : undefined,
    clusterId: env.ISTIO_META_CLUSTER_ID,
    network: env.ISTIO_META_NETWORK,
    group: env.ISTIO_META_AUTO_REGISTER_GROUP,
    ...(env.ISTIO_META_DNS_CAPTURE === undefined
      ? {}
      : { metadata: { DNS_CAPTURE: env.ISTIO_META_DNS_CAPTURE } }),
    stateDirectory,
    ...(existsSync(socket) ? { identitySocket: socket } : {}),
    controlPlane: {
      address: env.CA_ADDR ?? 'istiod.istio-system.svc:15012',
      rootFile: env.OSTRIA_ROOT_FILE ?? '/var/run/secrets/istio/root-cert.pem',
    },
    credential: {
      serviceAccountTokenFile: env.OSTRIA_TOKEN_FILE ?? '/var/run/secrets/tokens/istio-token',
    },
    ports: { readiness: 15021, metrics: 15020 },
    bindAddress: '0.0.0.0',
  };
}

/** As Istio's agents do it: `ISTIO_META_DNS_CAPTURE`, or `proxyMetadata` of the mesh. */
function capturesDns(metadata: unknown): boolean {
  return isObject(metadata) && isSwitchedOn(metadata.DNS_CAPTURE);
}

/** Checks everything, fills in defaults. Unknown keys are errors: a misspelt one must not pass for its default. */
export function parseAgentConfig(
  value: unknown,
): { ok: true; config: AgentConfig } | { ok: false; errors: string[] } {
  const read = new Reader();
  const top = read.object('', value);
  const namespace = read.name('namespace', top.namespace);
  const controlPlane = read.object('controlPlane', top.controlPlane);
  const credential = read.object('credential', top.credential ?? {});
  const certificate = read.object('certificate', top.certificate ?? {});
  const ports = read.object('ports', top.ports ?? {});
  const envoy = read.object('envoy', top.envoy ?? {});
  const stats = read.object('envoy.stats', envoy.stats ?? {});
  const drain = read.object('drain', top.drain ?? {});
  const locality = read.object('locality', top.locality ?? {});
  const joinTokenFile = read.optionalPath('credential.joinTokenFile', credential.joinTokenFile);
  const accountFile = read.optionalPath(
    'credential.serviceAccountTokenFile',
    credential.serviceAccountTokenFile,
  );
  const identitySocket = read.optionalPath('identitySocket', top.identitySocket);
  const envoyPath = read.optionalPath('envoy.path', envoy.path);
  const hookUrl = read.optionalText('drain.hookUrl', drain.hookUrl);
  const config: AgentConfig = {
    workload: read.name('workload', top.workload),
    namespace,
    serviceAccount: read.name('serviceAccount', top.serviceAccount ?? 'default'),
    trustDomain: read.name('trustDomain', top.trustDomain ?? 'cluster.local'),
    labels: read.strings('labels', top.labels ?? {}),
    addresses: read.addresses('addresses', top.addresses ?? ['127.0.0.1']),
    proxyType: read.oneOf('proxyType', top.proxyType ?? 'sidecar', ['sidecar', 'router']),
    dnsDomain: read.text('dnsDomain', top.dnsDomain ?? `${namespace}.svc.cluster.local`),
    clusterId: read.text('clusterId', top.clusterId ?? 'Kubernetes'),
    network: read.optionalText('network', top.network) ?? '',
    ...(top.group === undefined ? {} : { group: read.name('group', top.group) }),
    locality: read.strings('locality', locality),
    proxySettings: read.oneOf('proxySettings', top.proxySettings ?? 'mesh', ['mesh', 'file']),
    metadata: read.object('metadata', top.metadata ?? {}),
    environment: read.strings('environment', top.environment ?? {}),
    ...(top.capture === undefined ? {} : { capture: read.capture(top.capture) }),
    stateDirectory: read.path('stateDirectory', top.stateDirectory),
    controlPlane: {
      address: read.hostPort('controlPlane.address', controlPlane.address),
      serverName: read.text('controlPlane.serverName', controlPlane.serverName ?? 'istiod.istio-system.svc'),
      rootFile: read.path('controlPlane.rootFile', controlPlane.rootFile),
    },
    credential: {
      ...(joinTokenFile ? { joinTokenFile } : {}),
      ...(accountFile ? { serviceAccountTokenFile: accountFile } : {}),
    },
    ...(identitySocket ? { identitySocket } : {}),
    certificate: {
      ttlSeconds: read.number('certificate.ttlSeconds', certificate.ttlSeconds ?? 86_400, 1, 90 * 86_400),
      keyType: read.oneOf('certificate.keyType', certificate.keyType ?? 'ecdsa-p256', keyTypes),
    },
    ports: {
      readiness: read.number('ports.readiness', ports.readiness ?? 0, 0, 65_535),
      metrics: read.number('ports.metrics', ports.metrics ?? 0, 0, 65_535),
      dns: read.number('ports.dns', ports.dns ?? (capturesDns(top.metadata) ? istioDnsPort : 0), 0, 65_535),
    },
    bindAddress: read.text('bindAddress', top.bindAddress ?? '127.0.0.1'),
    envoy: {
      ...(envoyPath ? { path: envoyPath } : {}),
      concurrency: read.number('envoy.concurrency', envoy.concurrency ?? 1, 0, 1_024),
      ...(envoy.drainSeconds === undefined
        ? {}
        : { drainSeconds: read.number('envoy.drainSeconds', envoy.drainSeconds, 0, 3_600) }),
      logLevel: read.oneOf('envoy.logLevel', envoy.logLevel ?? 'warning', ENVOY_LOG_LEVELS),
      maxLogBytes: read.number('envoy.maxLogBytes', envoy.maxLogBytes ?? 10 << 20, 1 << 16, 2 ** 40),
      maxConnections: read.number('envoy.maxConnections', envoy.maxConnections ?? 50_000, 1, 2 ** 31),
      stats: {
        prefixes: read.list('envoy.stats.prefixes', stats.prefixes ?? []),
        suffixes: read.list('envoy.stats.suffixes', stats.suffixes ?? []),
        regexps: read.list('envoy.stats.regexps', stats.regexps ?? []),
      },
      bootstrapPatches: read.bootstrapPatches(envoy.bootstrapPatches ?? []),
    },
    drain: {
      seconds: read.number('drain.seconds', drain.seconds ?? 45, 0, 3_600),
      minimumSeconds: read.number('drain.minimumSeconds', drain.minimumSeconds ?? 5, 0, 3_600),
      ...(hookUrl ? { hookUrl } : {}),
    },
    ...(top.applicationMetrics === undefined
      ? {}
      : { applicationMetrics: read.applicationMetrics(top.applicationMetrics) }),
    logLevel: read.oneOf('logLevel', top.logLevel ?? 'info', LOG_LEVELS),
  };
  read.known('', top, [...Object.keys(config), 'capture', 'applicationMetrics', 'group', 'identitySocket']);
  read.known('controlPlane', controlPlane, Object.keys(config.controlPlane));
  read.known('certificate', certificate, Object.keys(config.certificate));
  read.known('credential', credential, ['joinTokenFile', 'serviceAccountTokenFile']);
  read.known('ports', ports, Object.keys(config.ports));
  read.known('envoy', envoy, [...Object.keys(config.envoy), 'path', 'drainSeconds']);
  read.known('drain', drain, [...Object.keys(config.drain), 'hookUrl']);
  return read.errors.length > 0 ? { ok: false, errors: read.errors } : { ok: true, config };
}

/** The agent's files, all in its state directory. */
export function agentFiles(config: AgentConfig) {
  const at = (name: string) => join(config.stateDirectory, name);
  return {
    identity: at('identity.pem'),
    root: at('root-cert.pem'),
    extras: at('trust-extras.json'),
    bootstrap: at('envoy-bootstrap.json'),
    process: at('envoy-process.json'),
    envoyLog: at('envoy.log'),
    proxySettings: at('proxy-settings.json'),
  };
}

/** Collects complaints instead of stopping at the first. */
class Reader {
  readonly errors: string[] = [];

  object(path: string, value: unknown): Json {
    if (isObject(value)) return value;
    this.#complain(path, 'must be an object');
    return {};
  }

  text(path: string, value: unknown): string {
    if (typeof value === 'string' && value !== '' && value.length <= 4_096) return value;
    this.#complain(path, 'must be a non-empty string');
    return '';
  }

  optionalText(path: string, value: unknown): string | undefined {
    return value === undefined || value === '' ? undefined : this.text(path, value);
  }

  /** Names travel in the node id and the SPIFFE id: no separators of either. */
  name(path: string, value: unknown): string {
    if (typeof value === 'string' && /^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/.test(value)) return value;
    this.#complain(path, 'must be a name of lower-case letters, digits, "-" and "."');
    return '';
  }

  path(path: string, value: unknown): string {
    if (typeof value === 'string' && isAbsolute(value)) return value;
    this.#complain(path, 'must be an absolute path');
    return '';
  }

  optionalPath(path: string, value: unknown): string | undefined {
    return value === undefined ? undefined : this.path(path, value);
  }

  number(path: string, value: unknown, min: number, max: number): number {
    if (typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max) return value;
    this.#complain(path, `must be a number from ${min} to ${max}`);
    return min;
  }

  oneOf<T extends string>(path: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) this.#complain(path, `must be one of ${allowed.join(', ')}`);
    return found ?? (allowed[0] as T);
  }

  strings(path: string, value: unknown): Record<string, string> {
    const object = this.object(path, value);
    for (const [key, entry] of Object.entries(object))
      if (typeof entry !== 'string') this.#complain(`${path}.${key}`, 'must be a string');
    return object as Record<string, string>;
  }

  list(path: string, value: unknown): string[] {
    if (Array.isArray(value) && value.length <= 200 && value.every((entry) => typeof entry === 'string'))
      return value;
    this.#complain(path, 'must be a list of at most 200 strings');
    return [];
  }

  addresses(path: string, value: unknown): string[] {
    const list = this.list(path, value);
    if (list.length === 0) this.#complain(path, 'needs one IP address at least');
    for (const entry of list) if (isIP(entry) === 0) this.#complain(path, `${entry} is not an IP address`);
    return list;
  }

  hostPort(path: string, value: unknown): string {
    if (typeof value === 'string' && splitHostPort(value)) return value;
    this.#complain(path, 'must be host:port');
    return '';
  }

  capture(value: unknown): ExplicitCapture {
    const capture = this.object('capture', value);
    const outbound = this.object('capture.outbound', capture.outbound);
    for (const [key, port] of Object.entries(outbound))
      this.number(`capture.outbound.${key}`, port, 1, 65_535);
    if (!Array.isArray(capture.inbound)) this.#complain('capture.inbound', 'must be a list');
    this.number('capture.httpProxy', capture.httpProxy, 0, 65_535);
    return value as ExplicitCapture;
  }

  bootstrapPatches(value: unknown): readonly BootstrapPatch[] {
    if (!Array.isArray(value) || value.length > mostBootstrapPatches) {
      this.#complain('envoy.bootstrapPatches', `must be a list of at most ${mostBootstrapPatches}`);
      return [];
    }
    return value.map((entry, index) => {
      const path = `envoy.bootstrapPatches[${index}]`;
      const patch = this.object(path, entry);
      return { id: this.text(`${path}.id`, patch.id), value: this.object(`${path}.value`, patch.value) };
    });
  }

  applicationMetrics(value: unknown): { port: number; path: string } {
    const metrics = this.object('applicationMetrics', value);
    return {
      port: this.number('applicationMetrics.port', metrics.port, 1, 65_535),
      path: this.text('applicationMetrics.path', metrics.path ?? '/metrics'),
    };
  }

  known(path: string, object: Json, names: readonly string[]): void {
    for (const key of Object.keys(object))
      if (!names.includes(key)) this.#complain(path ? `${path}.${key}` : key, 'is not a known setting');
  }

  #complain(path: string, what: string): void {
    this.errors.push(`${path || 'the configuration'} ${what}`);
  }
}

/** `host:port` or `[v6]:port`. */
export function splitHostPort(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host && port > 0 && port <= 65_535 ? { host, port } : undefined;
}
