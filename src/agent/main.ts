import { parseArgs } from 'node:util';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { type Agent, startAgent } from './agent.ts';
import { agentExit } from './agent-command.ts';
import {
  type AgentConfig,
  agentConfigFromEnvironment,
  type Configure,
  configurer,
  parseAgentConfig,
  readAgentConfig,
} from './agent-config.ts';

/*
 * `agent --config FILE`, or in a pod the environment variables of Istio's agent. Signals: SIGTERM and SIGINT drain and end Envoy (twice:
 * without waiting), SIGHUP ends the agent alone. Exit codes: 0 ended as asked, 1 our failure, 2 bad arguments or configuration, 3 start again with a new join token (Envoy runs on).
 */

async function main(): Promise<number> {
  // Sockets, logs and the bootstrap are for this user alone; Envoy inherits it.
  process.umask(0o077);
  const { values } = parseArgs({
    options: { config: { type: 'string', short: 'c' }, envoy: { type: 'string' } },
    strict: true,
  });
  const configure = values.config ? await readAgentConfig(values.config) : fromEnvironment();
  const agent = await startObedient(configure, await envoyOf(configure(), values.envoy));
  return (await agent.done) === 'needs-join-token' ? agentExit.needsJoinToken : agentExit.stopped;
}

/** It answers its ports a moment before it is returned: a signal that comes by then is obeyed all the same, a second one at once. */
async function startObedient(configure: Configure, envoyPath: string): Promise<Agent> {
  let agent: Agent | undefined;
  let early: 'stop' | 'leave' | undefined;
  const obey = (what: 'stop' | 'leave') => () => {
    if (agent) return agent[what]();
    if (early) process.exit(agentExit.failed);
    early = what;
  };
  process.on('SIGTERM', obey('stop'));
  process.on('SIGINT', obey('stop'));
  process.on('SIGHUP', obey('leave'));
  agent = await startAgent(configure, { envoyPath });
  if (early) agent[early]();
  return agent;
}

function fromEnvironment(): Configure {
  const value: unknown = JSON.parse(JSON.stringify(agentConfigFromEnvironment(process.env)));
  const parsed = parseAgentConfig(value);
  if (parsed.ok) return configurer(value, 'the environment');
  throw new CodedError(
    'AgentConfigInvalid',
    `from the environment: ${parsed.errors.join('; ')}; or give --config FILE`,
  );
}

async function envoyOf(config: AgentConfig, flag: string | undefined): Promise<string> {
  const given = flag ?? config.envoy.path;
  if (given) return given;
  // Loaded only when needed: it is no part of a running agent.
  const { findEnvoy } = await import('./envoy-binary.ts');
  return (await findEnvoy({ log: (line) => process.stderr.write(`${line}\n`) })).path;
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`agent: ${messageOf(error)}\n`);
  const usage =
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  const config = error instanceof CodedError && error.code === 'AgentConfigInvalid';
  process.exit(usage || config ? agentExit.badConfig : agentExit.failed);
}
