import { type Clock, systemClock } from '../../kit/clock.ts';
import type { ApiPki } from '../access/api-pki.ts';
import { createAuthenticator } from '../access/authenticator.ts';
import { createAuthorizer } from '../access/authorizer.ts';
import { createRoleIndex } from '../access/role-index.ts';
import { createTokenIssuer, type ServiceAccountTokens } from '../access/service-account-tokens.ts';
import type { Kind, KindRegistry, KindVersion } from '../kind.ts';
import { createBuiltInRegistry } from '../kinds/built-in-kinds.ts';
import type { ConfigObject } from '../object.ts';
import { admitSchema } from '../schema/admit-schema.ts';
import type { Store } from '../store/store.ts';
import { createAccessHook } from './access-hook.ts';
import type { AdmissionHook, SchemaAdmission } from './admission-hooks.ts';
import { bootstrap, ensure } from './bootstrap.ts';
import { createCertificateRequestHook } from './certificate-requests.ts';
import type { ApiContext } from './context.ts';
import { startControllers } from './controllers/controllers.ts';
import { createSystemPaths, type SystemAction, type SystemPath } from './handlers/system-paths.ts';
import { createKeyedLock } from './keyed-lock.ts';
import { type ApiLimits, defaultLimits } from './limits.ts';
import { listen } from './listen.ts';
import { convertByName } from './objects/stored.ts';
import { createOpenApiV2 } from './openapi/openapi-v2.ts';
import { createOpenApiV3 } from './openapi/openapi-v3.ts';
import type { ConnectToPod } from './port-forward/port-forward.ts';
import { accessReviews } from './reviews/access-reviews.ts';

/** The Kubernetes release whose behaviour clients may count on. */
const kubernetesRelease = { major: '1', minor: '32', version: 'v1.32.4' };

export interface ApiServerOptions {
  store: Store;
  /** Kinds that are served; CRDs are added at run time. Default: all built-in kinds. */
  kinds?: KindRegistry;
  /** Keys and certificates, from `openApiPki`. */
  pki: ApiPki;
  /** Default 127.0.0.1, any free port. */
  listen?: { host?: string; port?: number };
  /** Admission steps after the schema's and before the store, in order. Webhooks come this way too. */
  hooks?: readonly AdmissionHook[];
  /** Schema pruning, defaults and checks. Default: `admitSchema`. */
  schema?: SchemaAdmission;
  /** Between the versions of a kind. Default: only `apiVersion` changes. */
  convert?: (object: ConfigObject, kind: Kind, version: KindVersion) => ConfigObject;
  limits?: Partial<ApiLimits>;
  /** Namespaces that are made at the start. Default: default, istio-system, kube-public, kube-system. */
  namespaces?: readonly string[];
  /** Further objects that are made at the start where they are not there. */
  objects?: readonly ConfigObject[];
  /** `iss` of service account tokens. Default `https://kubernetes.default.svc.cluster.local`. */
  issuer?: string;
  /** Of this program, shown by `/version` and OpenAPI. Default `0.0.0`. */
  release?: string;
  /** Further checks of `/readyz` by name; a text says what is wrong, undefined that nothing is. */
  checks?: Readonly<Record<string, () => string | undefined | Promise<string | undefined>>>;
  /** Further paths for GET, such as `/debug/syncz`, subject to `nonResourceURLs` rules; the answer is sent as JSON. */
  paths?: Readonly<Record<string, SystemPath>>;
  /** The same for POST: what they do is done when they answer. A CodedError that they throw is the user's. */
  actions?: Readonly<Record<string, SystemAction>>;
  /** Reaches ports of pods for `pods/portforward`. Default: it is not offered. */
  connectToPod?: ConnectToPod;
  clock?: Clock;
  /** Default: nothing is logged. */
  log?: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

export interface ApiServer {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  readonly tokens: ServiceAccountTokens;
  readonly kinds: KindRegistry;
  /** Ends watches and connections, waits a moment for requests under way. The store stays open: it is the caller's. */
  close(): Promise<void>;
}

/** Starts the Kubernetes-dialect API on TLS. Resolves once it answers; rejects when it cannot listen or read its store. */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, pki, clock = systemClock, log = () => {}, hooks = [], release = '0.0.0' } = options;
  const kinds = options.kinds ?? createBuiltInRegistry();
  const limits: ApiLimits = { ...defaultLimits, ...options.limits };
  const closing = new AbortController();
  const roles = createRoleIndex();
  const authorizer = createAuthorizer(roles);
  const tokens = createTokenIssuer({
    keys: pki.tokenKeys,
    keyId: pki.tokenKeyId,
    uidOf: async (kind, namespace, name) => uidOf(store, kind, namespace, name),
    clock,
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
  });
  const context: ApiContext = {
    store,
    kinds,
    limits,
    clock,
    authorizer,
    tokens,
    schema: options.schema ?? admitSchema,
    hooks: [createAccessHook(authorizer, roles), createCertificateRequestHook(authorizer), ...hooks],
    locks: createKeyedLock(),
    convert: options.convert ?? convertByName,
    settled: (resource, revision) => controllers.settled(resource, revision),
    log,
    signal: closing.signal,
  };
  await bootstrap(
    context,
    options.namespaces ?? ['default', 'istio-system', 'kube-public', 'kube-system'],
    options.objects,
  );
  const controllers = await startControllers({
    store,
    kinds,
    roles,
    clock,
    log,
    signal: closing.signal,
    eventTtlMs: limits.eventTtlMs,
    onNamespace: (namespace) => addDefaultAccount(context, namespace),
  });
  const system = createSystemPaths({
    kinds,
    virtual: accessReviews,
    v2: createOpenApiV2(kinds, release),
    v3: createOpenApiV3(kinds, release),
    version: versionInfo(release),
    health: () => health(store, options.checks ?? {}, closing.signal),
    jwks: () => tokens.jwks(),
    issuer: tokens.issuer,
    paths: options.paths ?? {},
    actions: options.actions ?? {},
  });
  const { host = '127.0.0.1', port = 0 } = options.listen ?? {};
  const listener = await listen({
    context,
    virtual: accessReviews,
    system,
    authenticator: createAuthenticator(tokens),
    pki,
    host,
    port,
    connectToPod: options.connectToPod,
  });
  return {
    url: listener.url,
    port: listener.port,
    tokens,
    kinds,
    close: async () => {
      closing.abort();
      await listener.close();
    },
  };
}

async function uidOf(
  store: Store,
  kind: string,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const resource = { ServiceAccount: 'serviceaccounts', Pod: 'pods', Secret: 'secrets' }[kind];
  if (resource === undefined) return undefined;
  return (await store.get({ resource, namespace, name }))?.object.metadata.uid;
}

/** As in Kubernetes, every namespace has a service account `default` for workloads that name none. */
async function addDefaultAccount(context: ApiContext, namespace: string): Promise<void> {
  await ensure(context, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace },
  });
}

function versionInfo(release: string): Record<string, string> {
  return {
    major: kubernetesRelease.major,
    minor: kubernetesRelease.minor,
    gitVersion: `${kubernetesRelease.version}+ostria-${release}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: `node ${process.version}`,
    platform: `${process.platform}/${process.arch}`,
  };
}

async function health(
  store: Store,
  checks: NonNullable<ApiServerOptions['checks']>,
  signal: AbortSignal,
): Promise<Record<string, string | undefined>> {
  const result: Record<string, string | undefined> = {
    shutdown: signal.aborted ? 'the server is ending' : undefined,
    store: await store.revision().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    ),
  };
  for (const [name, check] of Object.entries(checks)) result[name] = await check();
  return result;
}
