import { join } from 'node:path';
import type { ProxySettings } from '../../agent/proxy-settings.ts';
import { openJoinTokens } from '../../ca/join-token.ts';
import { makePrivateDirectory, writeFileAtomicSync } from '../../kit/atomic-file.ts';
import { writeJsonFile } from '../state/json-file.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { agentHasCertificate } from './agent-certificate.ts';
import type { InstancePlan, MeshPlan } from './mesh-plan.ts';
import { agentConfig, agentConfigPath, joinTokenPath } from './process-specs.ts';
import type { SupervisorConfig } from './supervisor-config.ts';

/** Writes an agent's configuration, and a join token where it has no certificate that still serves. */
export function prepareAgent(
  plan: InstancePlan,
  mesh: MeshPlan,
  paths: StatePaths,
  config: SupervisorConfig,
  settings: ProxySettings,
): void {
  const { trustDomain } = mesh.mesh;
  makePrivateDirectory(paths.workload(plan.name));
  writeJsonFile(agentConfigPath(paths, plan.name), agentConfig(plan, mesh, paths, config, settings));
  if (agentHasCertificate(paths.workload(plan.name), trustDomain)) return;
  const tokens = openJoinTokens({ directory: join(paths.controlPlane, 'join-tokens') });
  tokens.sweep();
  const { token } = tokens.mint({
    trustDomain,
    namespace: plan.namespace,
    serviceAccount: plan.serviceAccount,
  });
  writeFileAtomicSync(joinTokenPath(paths, plan.name), token);
}
