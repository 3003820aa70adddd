import { rmSync } from 'node:fs';
import { makePrivateDirectory } from '../kit/atomic-file.ts';
import { messageOf } from '../kit/coded-error.ts';
import { workloadFacts } from '../kit/workload-facts.ts';
import { agentFiles, type Configure } from './agent-config.ts';
import { type AgentLog, createAgentLog } from './agent-log.ts';
import { CertificateKeeper } from './certificate-keeper.ts';
import { createEnvoy } from './configured-envoy.ts';
import type { DnsServer } from './dns/dns-server.ts';
import { drainEnvoy } from './drain.ts';
import { createEnvoyAdmin } from './envoy-admin.ts';
import { controlPlaneTrust } from './envoy-bootstrap.ts';
import { startEndpoints } from './http-endpoints.ts';
import type { HeldCertificate } from './identity-store.ts';
import { MeshSettings } from './mesh-settings.ts';
import { constantLabels } from './metrics-merge.ts';
import { peerTrust } from './peer-trust.ts';
import { readinessProblem } from './readiness.ts';
import { keepRegistered, type Registration } from './registration.ts';
import { startSdsServer } from './sds-server.ts';
import { SocketIdentity } from './socket-identity.ts';
import { socketPaths } from './socket-paths.ts';

/** `needs-join-token`: the certificate has ended and the token is spent; Envoy runs on, and a new start with a new token mends it. */
export type AgentEnd = 'stopped' | 'left' | 'needs-join-token';

export interface Agent {
  /** Resolves when the agent has ended, by `stop`, `leave` or `/quitquitquit`, or for want of a join token. */
  readonly done: Promise<AgentEnd>;
  /** Drains, ends Envoy, ends. A second call does not wait for the drain. */
  stop(): void;
  /** Ends and leaves Envoy running for the next agent. */
  leave(): void;
}

/**
 * Starts everything beside one workload: SDS first (an Envoy that runs already is waiting for it), then the certificate, then Envoy,
 * then the ports. Throws before anything runs when a port or the state directory cannot be used.
 */
export async function startAgent(
  configure: Configure,
  options: { envoyPath: string; log?: AgentLog },
): Promise<Agent> {
  const log = options.log ?? createAgentLog(configure().logLevel);
  const settings = new MeshSettings(configure, log);
  const { config } = settings;
  makePrivateDirectory(config.stateDirectory);
  const files = agentFiles(config);
  const sockets = socketPaths(config.stateDirectory);
  const { identitySocket } = config;
  const sds = identitySocket === undefined ? await startSdsServer(sockets.sds, log) : undefined;
  const admin = createEnvoyAdmin(sockets.admin);
  const keeper =
    identitySocket === undefined
      ? new CertificateKeeper(config, log, { onCredentialLost: () => finish('needs-join-token') })
      : new SocketIdentity({ ...config, identitySocket }, log);
  const facts = workloadFacts({ ...config, name: config.workload });
  let dns: Promise<DnsServer | undefined> | undefined;
  /** Answers DNS where the settings say so; loaded only then. One that cannot be opened is said, and the rest goes on. */
  const openDns = ({ config }: MeshSettings): void => {
    if (config.ports.dns === 0) return;
    dns ??= import('./dns/mesh-dns.ts')
      .then(({ startMeshDns }) =>
        startMeshDns(config, () => keeper.current && { certificate: keeper.current, roots }, log),
      )
      .catch((error) => void log.error('DNS is not answered', { why: messageOf(error) }));
  };
  const newEnvoy = () => createEnvoy(settings.config, facts, { ...options, log });
  let envoy = newEnvoy();

  const hurry = new AbortController();
  const ended = Promise.withResolvers<AgentEnd>();
  let draining: Promise<unknown> | undefined;
  let ending = false;
  const drain = async () => {
    draining ??= drainEnvoy(settings.config, admin, log, { signal: hurry.signal });
    await draining;
  };
  let registration: Registration | undefined;
  /** What the control plane's certificate may come from. */
  let roots = '';
  const end = async (stopEnvoy: boolean) => {
    keeper.stop();
    if (stopEnvoy) registration?.end();
    if (stopEnvoy) {
      if (envoy.id) await drain();
      await envoy.stop();
      rmSync(files.process, { force: true });
    } else await envoy.leave();
    await (await dns)?.close();
    await endpoints.close();
    await sds?.close();
  };
  function finish(how: AgentEnd): void {
    if (ending) {
      hurry.abort();
      return;
    }
    ending = true;
    log.info(how === 'stopped' ? 'draining, then ending' : 'ending; Envoy runs on', { why: how });
    end(how === 'stopped').then(() => ended.resolve(how), ended.reject);
  }

  const found = envoy.findRunning();
  // The stored certificate is still to be read: until then the Envoy that is taken over has the one that it got.
  let loading = found?.same === true;
  const endpoints = await startEndpoints({
    bindAddress: config.bindAddress,
    ports: config.ports,
    admin,
    labels: constantLabels(facts, keeper.identity),
    ...(config.applicationMetrics ? { applicationMetrics: config.applicationMetrics } : {}),
    readiness: () =>
      readinessProblem({
        admin,
        certificateProblem: () => (loading ? undefined : keeper.problem),
        draining: () => draining !== undefined || ending,
      }),
    ownMetrics: () => ownMetrics(keeper.current, envoy.restarts),
    drain,
    quit: () => finish('stopped'),
    log,
  }).catch(async (error) => {
    await sds?.close();
    throw error;
  });

  openDns(settings);
  let started = false;
  const startEnvoy = async (ask: () => Promise<boolean>) => {
    if (started || ending) return;
    started = true;
    if (!found?.same && (await ask())) envoy = newEnvoy();
    openDns(settings);
    if (found && !found.same) {
      log.info('replacing the running Envoy: its configuration is not the present one', {
        pid: found.id.pid,
      });
      await drainEnvoy(config, admin, log);
      await envoy.end(found.id);
    }
    if (!ending) envoy.start(found?.same ? found.id : undefined);
  };
  keeper.onChange((certificate, { controlPlaneRoots, extras }) => {
    sds?.set([
      { name: 'default', certificateChain: certificate.certificateChain, key: certificate.key },
      peerTrust(certificate.root, extras),
      { name: controlPlaneTrust, trustedRoots: controlPlaneRoots },
    ]);
    roots = controlPlaneRoots;
    void startEnvoy(() => settings.ask(certificate, controlPlaneRoots));
    const { group } = config;
    if (group !== undefined)
      registration ??= keepRegistered(
        { ...config, group },
        () => keeper.current && { ...keeper.current, root: roots },
        log,
      );
  });
  // One that runs is taken over at once; a new one without a certificate could only wait for it.
  // It keeps the settings that it was started with.
  if (found?.same) void startEnvoy(async () => false);
  await keeper.start();
  loading = false;
  return { done: ended.promise, stop: () => finish('stopped'), leave: () => finish('left') };
}

function ownMetrics(certificate: HeldCertificate | undefined, restarts: number): string {
  const left = certificate ? (certificate.notAfter.getTime() - Date.now()) / 1000 : 0;
  return [
    '# TYPE istio_agent_cert_expiry_seconds gauge',
    `istio_agent_cert_expiry_seconds{resource_name="default"} ${left.toFixed(0)}`,
    '# TYPE ostria_agent_envoy_restarts_total counter',
    `ostria_agent_envoy_restarts_total ${restarts}`,
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    '',
  ].join('\n');
}
