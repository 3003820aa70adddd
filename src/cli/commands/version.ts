import type { Command } from 'commander';
import { envoyCacheDirectory } from '../../agent/envoy-binary.ts';
import { ENVOY_VERSION } from '../../agent/install-envoy.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { ostriaVersion } from '../programs.ts';

interface VersionFlags extends ConnectionFlags {
  readonly output?: string;
  readonly remote: boolean;
  readonly short?: boolean;
}

export function registerVersion(program: Command): void {
  const command = program
    .command('version')
    .summary('show versions')
    .description(
      'Shows the versions of ostria, of the Node that runs it, of Envoy, and of the control plane that answers.',
    )
    .option('-o, --output <format>', 'json or yaml')
    .option('-s, --short', 'the version alone')
    .option('--no-remote', 'do not ask the API server');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria version
  ostria version -o json`,
    )
    .action(async (flags: VersionFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const versions: Record<string, string> = {
        client: ostriaVersion(),
        node: process.version,
        envoy: `${ENVOY_VERSION} (pinned; cached in ${envoyCacheDirectory()})`,
      };
      if (flags.short) {
        process.stdout.write(`${ostriaVersion()}\n`);
        return;
      }
      if (flags.remote) versions.server = await serverVersion(flags);
      if (output) process.stdout.write(formatStructured(versions, output));
      else
        for (const [name, version] of Object.entries(versions)) process.stdout.write(`${name}: ${version}\n`);
    });
}

async function serverVersion(flags: ConnectionFlags): Promise<string> {
  try {
    const { client, access } = connect(flags);
    try {
      const { gitVersion } = await client.get<{ gitVersion?: string }>('/version', { timeoutMs: 3_000 });
      return `${gitVersion ?? 'unknown'} (${access.server})`;
    } finally {
      client.close();
    }
  } catch (error) {
    return `none (${messageOf(error).split('\n')[0]})`;
  }
}
