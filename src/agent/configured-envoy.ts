import { availableParallelism } from 'node:os';
import { encodeFacts, peerVariable, type WorkloadFacts } from '../kit/workload-facts.ts';
import { type AgentConfig, agentFiles } from './agent-config.ts';
import type { AgentLog } from './agent-log.ts';
import { buildBootstrap } from './envoy-bootstrap.ts';
import { EnvoyProcess } from './envoy-process.ts';
import { PatchedBootstrap } from './patched-bootstrap.ts';
import { socketPaths } from './socket-paths.ts';

/** The Envoy that a configuration asks for; nothing is started yet. */
export function createEnvoy(
  config: AgentConfig,
  facts: WorkloadFacts,
  { envoyPath, log }: { readonly envoyPath: string; readonly log: AgentLog },
): EnvoyProcess {
  const files = agentFiles(config);
  const sockets = socketPaths(config.stateDirectory);
  const base = buildBootstrap(config, {
    adminSocket: sockets.admin,
    sdsSocket: config.identitySocket ?? sockets.sds,
  });
  const patches = config.envoy.bootstrapPatches;
  const bootstrap = new PatchedBootstrap({
    base,
    patches,
    envoyPath,
    tryFile: `${files.bootstrap}.try.json`,
    log,
  });
  return new EnvoyProcess({
    path: envoyPath,
    args: envoyArguments(config),
    bootstrapFile: files.bootstrap,
    bootstrap: JSON.stringify([base, patches]),
    render: (failure) => bootstrap.render(failure),
    environment: { ...config.environment, [peerVariable]: encodeFacts(facts) },
    logFile: files.envoyLog,
    maxLogBytes: config.envoy.maxLogBytes,
    stateFile: files.process,
    log,
  });
}

function envoyArguments(config: AgentConfig): string[] {
  const { drainSeconds = config.drain.seconds } = config.envoy;
  return [
    ...['--concurrency', String(config.envoy.concurrency || availableParallelism())],
    ...['--log-level', config.envoy.logLevel],
    // With hot restart Envoy asks the kernel for SIGTERM when its parent dies, so a dead agent would take its Envoy along. Without,
    // there is no shared memory either, and any number of Envoys run side by side.
    '--disable-hot-restart',
    ...['--drain-time-s', String(Math.max(1, Math.round(drainSeconds)))],
    ...['--drain-strategy', 'immediate'],
    ...['--file-flush-interval-msec', '1000'],
  ];
}
