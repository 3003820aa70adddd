import type { Command } from 'commander';
import type { ProxyStatus } from '../../xds/ledger.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { textTable } from '../output/text-table.ts';
import { proxyName } from '../proxy/proxy-name.ts';

interface StatusFlags extends ConnectionFlags {
  readonly output?: string;
}

export function registerProxyStatus(program: Command): void {
  const command = program
    .command('proxy-status')
    .alias('ps-proxy')
    .summary('show which Envoys have what the control plane sent')
    .description(
      'For each connected Envoy and type of resource: SYNCED (acknowledged), STALE (sent, not yet acknowledged), NACKED (refused, in part at least) or NOT SENT (it has none).',
    )
    .argument('[workload]', 'only this one')
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria proxy-status
  ostria proxy-status reviews-v1-0
  ostria proxy-status -o json`,
    )
    .action(async (workload: string | undefined, flags: StatusFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      const all = await withClient(flags, (client) => client.get<ProxyStatus[]>('/debug/syncz'));
      const shown = all.filter(
        ({ proxyId, namespace }) =>
          (workload === undefined ||
            proxyName(proxyId) === workload ||
            proxyName(proxyId).split('.')[0] === workload) &&
          (flags.namespace === undefined || namespace === flags.namespace),
      );
      process.stdout.write(output ? formatStructured(shown, output) : proxyStatusTable(shown));
    });
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
