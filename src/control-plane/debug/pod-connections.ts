import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { socketPaths } from '../../agent/socket-paths.ts';
import type { User } from '../../config/access/user.ts';
import type { ConnectToPod } from '../../config/api-server/port-forward/port-forward.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import type { DebugHttp } from './debug-http.ts';
import { type DebugScope, everything, scopeOf } from './debug-page.ts';
import { createEnvoyFront } from './envoy-front.ts';
import type { RuleOf } from './istio-metadata.ts';

/** Istio's port of Envoy's admin interface in a pod. */
const adminPort = 15_000;
/** Ports of istiod that show its debug pages: monitoring, and the plain HTTP port that older clients ask. */
const debugPorts: ReadonlySet<number> = new Set([15_014, 8_080]);
const xdsPort = 15_012;

const connectMs = 5_000;

export interface PodConnectionsOptions {
  /** The pod that stands for the control plane. */
  readonly istiod: { readonly namespace: string; readonly name: string };
  readonly debug: DebugHttp;
  readonly rootNamespace: () => string;
  /** Where the TLS port of xDS listens; undefined: it does not. */
  readonly xds: { readonly host: string; readonly port: number } | undefined;
  /** The DestinationRules of the proxy of a pod. */
  rule(namespace: string, pod: string): RuleOf;
  /** Directory of the workloads that run on this machine: one directory each, with the socket of Envoy's admin interface. */
  readonly workloads: string | undefined;
}

/**
 * What stands behind the ports of pods: of the control plane's pod its debug pages and xDS, of a workload's the admin interface of its
 * Envoy, which listens on a private socket and nowhere else. Every other port is refused: nothing of a user's decides what is connected to.
 */
export function podConnections(options: PodConnectionsOptions): ConnectToPod {
  const { istiod, debug, xds, workloads } = options;
  const envoys = createEnvoyFront();
  return async ({ namespace, pod, port, user }) => {
    if (namespace === istiod.namespace && pod === istiod.name) {
      if (debugPorts.has(port)) {
        const [ours, theirs] = duplexPair();
        debug.serve(ours, scopeOfUser(user, options.rootNamespace()));
        return theirs;
      }
      if (port === xdsPort && xds) return connected(connect({ host: xds.host, port: xds.port }), pod, port);
      throw refused(`pod ${pod} answers on ports 15012 and 15014, not on ${port}`);
    }
    if (port !== adminPort)
      throw refused(
        `of pod ${pod} only port ${adminPort}, its Envoy’s admin interface, can be reached here; call its service for what it serves`,
      );
    // The name is a pod's that exists: it holds no slash and is not `..`.
    const directory = workloads === undefined ? undefined : join(workloads, pod);
    if (directory === undefined || !existsSync(directory))
      throw refused(`pod ${pod} does not run on the machine of this control plane`);
    const socketPath = socketPaths(directory).admin;
    (await connected(connect({ path: socketPath }), pod, port)).destroy();
    const [ours, theirs] = duplexPair();
    envoys.serve(ours, { socketPath, rule: options.rule(namespace, pod) });
    return theirs;
  };
}

/** Service accounts see their own namespace; people whom the API lets in see everything. */
export function scopeOfUser(user: User, rootNamespace: string): DebugScope {
  const namespace = /^system:serviceaccount:([^:]+):[^:]+$/.exec(user.name)?.[1];
  return namespace === undefined ? everything : scopeOf(namespace, rootNamespace);
}

async function connected(socket: ReturnType<typeof connect>, pod: string, port: number): Promise<Duplex> {
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) });
    return socket;
  } catch (error) {
    socket.destroy();
    throw refused(`port ${port} of pod ${pod} does not answer: ${messageOf(error)}`);
  }
}

function refused(message: string): CodedError {
  return new CodedError('PodPortRefused', message);
}
