import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openApiPki } from '../config/access/api-pki.ts';
import { writeKubeconfig } from '../config/access/kubeconfig.ts';
import { mastersGroup } from '../config/access/user.ts';
import type { AdmissionHook } from '../config/api-server/admission-hooks.ts';
import { type ApiServer, createApiServer } from '../config/api-server/api-server.ts';
import type { SystemAction, SystemPath } from '../config/api-server/handlers/system-paths.ts';
import type { ConnectToPod } from '../config/api-server/port-forward/port-forward.ts';
import type { KindRegistry } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import { openEmbeddedStore } from '../config/store/embedded/embedded-store.ts';
import { EtcdStore } from '../config/store/etcd/etcd-store.ts';
import type { Store } from '../config/store/store.ts';
import type { Logger } from './log.ts';
import type { ControlPlaneOptions } from './options.ts';

/** Opens the store that the options name; undefined without one. */
export async function openStore(options: ControlPlaneOptions): Promise<Store | undefined> {
  if (options.store === 'etcd' && options.etcd) {
    const { endpoints, prefix, caFile, certFile, keyFile } = options.etcd;
    const tls = caFile
      ? {
          ca: await readFile(caFile),
          ...(certFile && keyFile ? { cert: await readFile(certFile), key: await readFile(keyFile) } : {}),
        }
      : undefined;
    return new EtcdStore({ endpoints, ...(prefix !== undefined ? { prefix } : {}), ...(tls ? { tls } : {}) });
  }
  if (options.store === 'embedded' && options.state !== undefined)
    return openEmbeddedStore({ path: join(options.state, 'store', 'objects.db') });
  return undefined;
}

/** Classes that Gateways may name, for people and tools that look for one; their status says what they can do. */
const gatewayClasses: readonly ConfigObject[] = ['istio', 'ostria'].map((name) => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name },
  spec: {
    controllerName: 'istio.io/gateway-controller',
    description: 'Gateways that Envoys of the mesh serve',
  },
}));

/** The configuration API on TLS; writes the admin's kubeconfig where one is asked for. */
export async function startConfigApi(
  options: ControlPlaneOptions & { api: { host: string; port: number }; state: string },
  parts: {
    store: Store;
    kinds: KindRegistry;
    log: Logger;
    release: string;
    checks: Readonly<Record<string, () => string | undefined>>;
    paths: Readonly<Record<string, SystemPath>>;
    actions: Readonly<Record<string, SystemAction>>;
    hooks: readonly AdmissionHook[];
    connectToPod: ConnectToPod;
  },
): Promise<ApiServer> {
  const { store, kinds, log, release, checks, paths, actions, hooks, connectToPod } = parts;
  const hosts = [...new Set(['localhost', '127.0.0.1', '::1', options.api.host])].filter(
    (host) => host !== '0.0.0.0' && host !== '::',
  );
  const pki = await openApiPki({ directory: join(options.state, 'api'), hosts });
  const api = await createApiServer({
    store,
    kinds,
    pki,
    listen: options.api,
    release,
    checks,
    paths,
    actions,
    hooks,
    connectToPod,
    objects: gatewayClasses,
    log: (level, message, fields) => log[level](fields ?? {}, message),
  });
  if (options.kubeconfig !== undefined)
    await writeKubeconfig(options.kubeconfig, {
      server: api.url,
      authorityPem: pki.authorityPem,
      credential: await pki.issueClient({ user: 'admin', groups: [mastersGroup] }),
    });
  return api;
}
