import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import type { ProxyStatus } from '../../xds/ledger.ts';
import type { ApiClient } from '../api/api-client.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { textTable } from '../output/text-table.ts';
import type { ConfigDump } from '../proxy/config-dump.ts';
import { findProxyName, proxiesOf } from '../proxy/mesh-proxies.ts';
import { proxyName } from '../proxy/proxy-name.ts';

interface StatusFlags extends ConnectionFlags {
  readonly output?: string;
  readonly file?: string;
}

export function registerProxyStatus(program: Command): void {
  const command = program
    .command('proxy-status')
    .alias('ps-proxy')
    .summary('show which Envoys have what the control plane sent')
    .description(
      'For each connected Envoy and type of resource: SYNCED (acknowledged), STALE (sent, not yet acknowledged), NACKED (refused, in part at least) or NOT SENT (it has none). Of one workload it is shown besides whether its Envoy holds just what was sent, resource by resource.',
    )
    .argument('[workload]', 'only this one, and what its Envoy holds compared with what was sent')
    .option('--file <path>', 'a config dump of Envoy in a file, with endpoints, instead of a running Envoy')
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria proxy-status
  ostria proxy-status reviews-v1-0
  ostria proxy-status reviews-v1-0 -o json
  ostria proxy-status -o json

Ends with 11 if a workload was named and its Envoy does not hold what was sent.`,
    )
    .action(async (workload: string | undefined, flags: StatusFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      if (workload === undefined) {
        const all = await withClient(flags, (client) => client.get<ProxyStatus[]>('/debug/syncz'));
        const shown = all.filter(
          ({ namespace }) => flags.namespace === undefined || namespace === flags.namespace,
        );
        process.stdout.write(output ? formatStructured(shown, output) : proxyStatusTable(shown));
      } else await showOne(workload, flags, output);
    });
}

/** One proxy: its state by type, and what Envoy holds compared with what it should. */
async function showOne(
  workload: string,
  flags: StatusFlags,
  output: 'json' | 'yaml' | undefined,
): Promise<void> {
  const { statuses, sent, held } = await withClient(flags, async (client) => {
    const all = await client.get<ProxyStatus[]>('/debug/syncz');
    const found = matching(all, workload, flags.namespace);
    const [first] = found;
    if (!first)
      throw new CodedError(
        'WorkloadUnknown',
        `no Envoy of ${workload} is connected; connected are ${[...new Set(all.map(({ proxyId }) => proxyName(proxyId)))].join(', ') || 'none'}`,
      );
    const query = new URLSearchParams({ proxyID: first.proxyId, include_eds: '' });
    return {
      statuses: found,
      sent: await client.get<ConfigDump>(`/debug/config_dump?${query}`),
      held: await heldConfig(client, first.proxyId, flags),
    };
  });
  const { compareConfig } = await import('../proxy/compare-config.ts');
  const comparison = compareConfig(sent, held);
  if (output) process.stdout.write(formatStructured({ statuses, ...comparison }, output));
  else {
    const { formatComparison } = await import('../proxy/format-comparison.ts');
    process.stdout.write(`${proxyStatusTable(statuses)}\n${formatComparison(comparison, out)}`);
  }
  if (comparison.differences.length > 0) process.exitCode = exitCodes.negative;
}

function matching(
  all: readonly ProxyStatus[],
  workload: string,
  namespace: string | undefined,
): ProxyStatus[] {
  const wanted = workload.replace(/^pod\//, '');
  const own = all.filter((one) => namespace === undefined || one.namespace === namespace);
  const names = ({ proxyId }: ProxyStatus) => {
    const name = proxyName(proxyId);
    return [name, name.split('.')[0] ?? name];
  };
  const exact = own.filter((one) => names(one).includes(wanted));
  // A workload of one copy may be called by its own name, as `proxy-config` takes it.
  return exact.length > 0 ? exact : own.filter((one) => names(one)[1]?.replace(/-\d+$/, '') === wanted);
}

async function heldConfig(client: ApiClient, proxyId: string, flags: StatusFlags): Promise<ConfigDump> {
  if (flags.file !== undefined) return JSON.parse(readFileSync(flags.file, 'utf8')) as ConfigDump;
  const proxies = proxiesOf(client.access, client);
  const name = findProxyName(await proxies.names(), proxyName(proxyId));
  return JSON.parse(await proxies.ask(name, '/config_dump?include_eds')) as ConfigDump;
}

const columns = [
  'Cluster',
  'Listener',
  'ClusterLoadAssignment',
  'RouteConfiguration',
  'VirtualHost',
] as const;

/** istioctl's columns, with VHDS beside RDS. */
export function proxyStatusTable(statuses: readonly ProxyStatus[]): string {
  const rows = statuses.map((status) => [
    proxyName(status.proxyId),
    ...columns.map(
      (type) => status.types.find(({ typeUrl }) => typeUrl.endsWith(`.${type}`))?.state ?? 'NOT SENT',
    ),
    status.protocol,
  ]);
  rows.sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1));
  return textTable(['NAME', 'CDS', 'LDS', 'EDS', 'RDS', 'VHDS', 'PROTOCOL'], rows);
}
