import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isTrustDomain } from '../ca/spiffe.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { badRange } from '../kit/guarded-fetch.ts';
import type { HistoryLimits } from './history/history.ts';

export interface Address {
  host: string;
  port: number;
}

/** What a control plane is told. Every server listens only where it is told to. */
export interface ControlPlaneOptions {
  /** Keys, certificates, the embedded store and tokens live here (0700). Needed for `api`, `xds` and the embedded store. */
  state?: string;
  /** A directory of YAML as a source. */
  config?: string;
  /** The configuration API (TLS). */
  api?: Address;
  /** xDS and the certificate authority (TLS). */
  xds?: Address;
  /** xDS without authentication or encryption: loopback only unless `allowInsecureRemote`. */
  insecureXds?: Address;
  /** `/metrics`, `/healthz`, `/readyz`. */
  monitoring?: Address;
  /** Default `embedded` with `api`, else none. `etcd`: see `etcd`. */
  store: 'embedded' | 'etcd' | 'none';
  etcd?: { endpoints: string[]; prefix?: string; caFile?: string; certFile?: string; keyFile?: string };
  /** A directory with ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem; default: a self-signed root in `state`. */
  ca?: string;
  /** A YAML file: whose tokens count, who signs instead of us, limits of connects. See docs/guides/certificates.md. */
  identity?: string;
  /** How often workloads ask whether roots change, in ms. Default 5 minutes, 5 s while they do. */
  trustSyncMs?: number;
  /** MeshConfig, in its JSON form; `--trust-domain` sets its `trustDomain`. */
  meshConfig: Record<string, unknown>;
  /** Peer authentication where no PeerAuthentication says otherwise. Default STRICT. */
  defaultMtlsMode: 'STRICT' | 'PERMISSIVE' | 'DISABLE';
  /**
   * Ranges (`address/length`) that keys of tokens may be fetched from although they are not public. Default none: what objects name by
   * URL leads neither to this machine nor into its networks.
   */
  allowFetch: readonly string[];
  /** How much of the past is kept in `state`; 0 bytes: nothing. Default: 64 MiB, 100,000 changes, 7 days. */
  history?: Partial<HistoryLimits>;
  /** Where clients reach the API: written into the kubeconfig. Default: the address that it listens on. */
  kubeconfig?: string;
  /** Directory of the workloads that run on this machine, one directory each, with the socket of its Envoy's admin interface. */
  workloads?: string;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/** Command-line help of `ostria control-plane`. */
export const controlPlaneHelp = `Usage: ostria control-plane [options]

Runs the control plane in the foreground.

  --config DIR               read YAML from a directory and follow its changes
  --state DIR                keys, certificates and the embedded store (0700)
  --api HOST:PORT            serve the configuration API (TLS); needs --state
  --xds HOST:PORT            serve xDS and the certificate authority (TLS); needs --state
  --insecure-xds HOST:PORT   serve xDS without authentication (loopback)
  --monitoring HOST:PORT     serve /metrics, /healthz and /readyz
  --store embedded|etcd      where the API keeps objects (default embedded)
  --etcd URL[,URL]           endpoints of etcd
  --ca DIR                   ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem
  --identity FILE            whose tokens count, an external authority, limits of connects (YAML)
  --trust-domain NAME        trust domain of the mesh's identities (default cluster.local)
  --trust-sync SECONDS       how often workloads ask for new roots (default 300, 5 while roots change)
  --mtls strict|permissive|disable   default peer authentication (default strict)
  --allow-fetch RANGE[,…]    fetch keys of tokens from these ranges too (public addresses only by default)
  --history MIB[,DAYS[,CHANGES]]   how much of the past is kept (default 64,7,100000; 0: nothing)
  --lazy                     sidecars load clusters and virtual hosts on the first request
  --explain-refusals         refusals tell callers inside the mesh who decided
  --kubeconfig FILE          write the admin's kubeconfig here (0600)
  --workloads DIR            workloads of this machine, whose Envoys the API's port forwarding reaches
  --settings FILE            the same settings as JSON; flags win
  --log-level LEVEL          trace, debug, info (default), warn, error

Examples:
  ostria control-plane --config ./mesh --insecure-xds 127.0.0.1:15010
  ostria control-plane --state ./state --api 127.0.0.1:6443 --xds 127.0.0.1:15012
`;

const flags = {
  config: { type: 'string' },
  state: { type: 'string' },
  api: { type: 'string' },
  xds: { type: 'string' },
  'insecure-xds': { type: 'string' },
  monitoring: { type: 'string' },
  store: { type: 'string' },
  etcd: { type: 'string' },
  ca: { type: 'string' },
  identity: { type: 'string' },
  'trust-domain': { type: 'string' },
  'trust-sync': { type: 'string' },
  mtls: { type: 'string' },
  'allow-fetch': { type: 'string' },
  history: { type: 'string' },
  kubeconfig: { type: 'string' },
  workloads: { type: 'string' },
  settings: { type: 'string' },
  'log-level': { type: 'string' },
  lazy: { type: 'boolean' },
  'explain-refusals': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Reads flags and the settings file. Throws `OptionInvalid` with what to mend. Undefined: help was asked for. */
export function parseControlPlaneOptions(args: readonly string[]): ControlPlaneOptions | undefined {
  let values: ReturnType<typeof parse>['values'];
  try {
    values = parse(args).values;
  } catch (error) {
    throw invalid(messageOf(error));
  }
  if (values.help) return undefined;
  const settings = values.settings === undefined ? {} : readSettings(values.settings);
  const etcd = values.etcd !== undefined ? { endpoints: values.etcd.split(',') } : settings.etcd;
  const api = address('--api', values.api) ?? settings.api;
  const options: ControlPlaneOptions = {
    store:
      oneOf('--store', values.store, ['embedded', 'etcd', 'none']) ??
      settings.store ??
      (etcd ? 'etcd' : api ? 'embedded' : 'none'),
    meshConfig: {
      ...settings.meshConfig,
      ...proxyDefaults(settings.meshConfig ?? {}, values),
      ...(values['trust-domain'] === undefined ? {} : { trustDomain: values['trust-domain'] }),
    },
    defaultMtlsMode:
      oneOf('--mtls', values.mtls?.toUpperCase(), ['STRICT', 'PERMISSIVE', 'DISABLE']) ??
      settings.defaultMtlsMode ??
      'STRICT',
    allowFetch: values['allow-fetch']?.split(',') ?? settings.allowFetch ?? [],
    logLevel:
      oneOf('--log-level', values['log-level'], ['trace', 'debug', 'info', 'warn', 'error']) ??
      settings.logLevel ??
      'info',
    ...given({
      config: values.config ?? settings.config,
      state: values.state ?? settings.state,
      api,
      xds: address('--xds', values.xds) ?? settings.xds,
      insecureXds: address('--insecure-xds', values['insecure-xds']) ?? settings.insecureXds,
      monitoring: address('--monitoring', values.monitoring) ?? settings.monitoring,
      etcd,
      ca: values.ca ?? settings.ca,
      identity: values.identity ?? settings.identity,
      trustSyncMs: seconds('--trust-sync', values['trust-sync']) ?? settings.trustSyncMs,
      history: historyLimits(values.history) ?? settings.history,
      kubeconfig: values.kubeconfig ?? settings.kubeconfig,
      workloads: values.workloads ?? settings.workloads,
    }),
  };
  check(options);
  return options;
}

type Json = Readonly<Record<string, unknown>>;

/** What flags say about every proxy lies over what the settings file says. */
function proxyDefaults(given: Json, flags: ReturnType<typeof parse>['values']): Json {
  const { defaultConfig = {} } = given as { defaultConfig?: { proxyMetadata?: Json } };
  const proxyMetadata = {
    ...defaultConfig.proxyMetadata,
    ...(flags.lazy ? { OSTRIA_LAZY: 'true' } : {}),
    ...(flags['explain-refusals'] ? { OSTRIA_EXPLAIN_REFUSALS: 'true' } : {}),
  };
  return Object.keys(proxyMetadata).length > 0 ? { defaultConfig: { ...defaultConfig, proxyMetadata } } : {};
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false });
}

function check(options: ControlPlaneOptions): void {
  const { trustDomain } = options.meshConfig;
  if (trustDomain !== undefined && !isTrustDomain(trustDomain))
    throw invalid(
      `trust domain ${String(trustDomain)}: must be a host name in lower case such as prod.example`,
    );
  const range = badRange(options.allowFetch);
  if (range !== undefined) throw invalid(`--allow-fetch: ${range} is no range such as 127.0.0.0/8`);
  if (!options.api && !options.xds && !options.insecureXds)
    throw invalid('nothing to serve: give --api, --xds or --insecure-xds');
  if ((options.api || options.xds) && options.state === undefined)
    throw invalid('--api and --xds need --state DIR: their keys and certificates are kept there');
  if (options.api && options.store === 'none') throw invalid('--api needs a store: embedded or etcd');
  if (!options.api && options.config === undefined && options.store === 'none')
    throw invalid('no configuration: give --config DIR, or --api with a store');
  if (options.insecureXds && !isLoopback(options.insecureXds.host))
    throw invalid(
      `--insecure-xds ${options.insecureXds.host} is not a loopback address: anybody who reaches it gets every proxy's configuration; use --xds`,
    );
  if (options.store === 'etcd' && !options.etcd?.endpoints.length)
    throw invalid('--store etcd needs --etcd URL');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function address(flag: string, text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw invalid(`${flag} ${text}: must be host:port, as 127.0.0.1:15010`);
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port };
}

function oneOf<T extends string>(
  flag: string,
  text: string | undefined,
  allowed: readonly T[],
): T | undefined {
  if (text === undefined) return undefined;
  const found = allowed.find((candidate) => candidate === text);
  if (!found) throw invalid(`${flag} ${text}: must be one of ${allowed.join(', ')}`);
  return found;
}

function readSettings(file: string): Partial<ControlPlaneOptions> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Partial<ControlPlaneOptions>;
  } catch (error) {
    throw invalid(`--settings ${file}: ${messageOf(error)}`);
  }
}

/** Seconds, with a fraction, as milliseconds. */
function seconds(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value >= 0.05 && value <= 86_400))
    throw invalid(`${flag} ${text}: must be between 0.05 and 86400 seconds`);
  return value * 1000;
}

function historyLimits(text: string | undefined): Partial<HistoryLimits> | undefined {
  if (text === undefined) return undefined;
  const [mebibytes, days, changes, ...more] = text.split(',').map(Number);
  const wrong = [mebibytes, days, changes].some((value) => value !== undefined && !(value >= 0));
  if (mebibytes === undefined || wrong || more.length > 0)
    throw invalid(`--history ${text}: must be MIB, MIB,DAYS or MIB,DAYS,CHANGES, as 64,7,100000`);
  return {
    bytes: mebibytes * 1024 * 1024,
    ...(days === undefined ? {} : { ageMs: days * 86_400_000 }),
    ...(changes === undefined ? {} : { changes }),
  };
}

function given<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function invalid(message: string): CodedError {
  return new CodedError('OptionInvalid', message);
}
