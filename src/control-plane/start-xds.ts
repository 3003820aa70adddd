import type { MeshConfig } from '../registry/mesh-config.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import type { Ledger } from '../xds/ledger.ts';
import { createXdsServer, type XdsListener, type XdsServer } from '../xds/server.ts';
import type { AutoRegistration } from './auto-registration.ts';
import type { Debug } from './debug/create-debug.ts';
import { type IdentityService, openIdentityService } from './identity-service.ts';
import type { Logger } from './log.ts';
import type { Monitoring } from './monitoring.ts';
import type { ControlPlaneOptions } from './options.ts';
import { type OwnCall, serveOwnCall } from './own-call.ts';
import { serveRegistration, withRegistration } from './registration-server.ts';

/** Who signs and who may connect; undefined where nobody can connect by TLS. */
export async function openIdentity(
  options: ControlPlaneOptions,
  mesh: MeshConfig,
  log: Logger,
  stops: (() => void)[],
): Promise<IdentityService | undefined> {
  if (!options.xds || options.state === undefined) return undefined;
  const identity = await openIdentityService({
    state: options.state,
    ...(options.ca !== undefined ? { ca: options.ca } : {}),
    ...(options.identity !== undefined ? { settingsFile: options.identity } : {}),
    trustDomain: mesh.trustDomain,
    trustDomainAliases: mesh.trustDomainAliases,
    host: options.xds.host,
    ...(options.trustSyncMs !== undefined
      ? {
          rotation: {
            syncMs: options.trustSyncMs,
            rotationSyncMs: options.trustSyncMs,
            checkMs: options.trustSyncMs,
          },
        }
      : {}),
    log,
  });
  stops.push(() => identity.close());
  return identity;
}

/** Serves proxies, on one listener or two; undefined where none is asked for. */
export async function startXds(
  options: ControlPlaneOptions,
  parts: {
    source: ResourceSource;
    ledger: Ledger;
    identity: IdentityService | undefined;
    monitoring: Monitoring;
    registration: AutoRegistration | undefined;
    /** Calls that agents make for their own workload. */
    ownCalls: readonly OwnCall[];
    debug: Debug;
    log: Logger;
  },
): Promise<XdsServer | undefined> {
  const { source, ledger, identity, monitoring, registration, ownCalls, debug, log } = parts;
  const listeners: XdsListener[] = [];
  if (options.xds && identity) listeners.push({ name: 'tls', ...options.xds, tls: identity.tls });
  if (options.insecureXds) listeners.push({ name: 'plaintext', ...options.insecureXds });
  if (listeners.length === 0) return undefined;
  const xds = createXdsServer({
    source: registration ? withRegistration(source, registration) : source,
    authenticate: identity?.authenticate ?? (() => ({ ok: true, identity: undefined })),
    listeners,
    ledger,
    log,
    metrics: monitoring.xds,
    debug: debug.xds,
    ...(identity
      ? {
          otherCalls: (stream, headers, listener) =>
            identity.otherCalls(stream, headers, listener) ||
            (listener.name === 'tls' &&
              (ownCalls.some((call) => serveOwnCall(call, identity.holders, stream, headers)) ||
                (registration !== undefined &&
                  serveRegistration(registration, identity.trustDomains, stream, headers)))),
        }
      : {}),
  });
  await xds.start();
  identity?.keep((tls) => xds.updateTls('tls', tls));
  ledger.onRejected((event) =>
    log.warn(
      { proxy: event.proxyId, resources: event.resources },
      `a proxy refused ${event.resources.length} resources: ${event.message}`,
    ),
  );
  return xds;
}
