import type { Command } from 'commander';
import { requireRunning } from '../meshes.ts';
import { formatAge } from '../output/age.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { textTable } from '../output/text-table.ts';
import { callControl } from '../supervisor/control-socket.ts';
import type { ProcessState } from '../supervisor/managed-process.ts';
import type { MeshStatus } from '../supervisor/mesh-status.ts';

interface PsFlags {
  readonly mesh?: string;
  readonly output?: string;
}

export function registerPs(program: Command): void {
  program
    .command('ps')
    .summary('show what runs in the mesh of this machine')
    .description(
      'Shows the control plane, the gateways and the workloads of a mesh: whether they are ready, else why not, how often they were started again, their age and process. -o wide adds their ports.',
    )
    .option('--mesh <name>', 'mesh of this machine (default: the one that runs)')
    .option('-o, --output <format>', 'wide, json or yaml')
    .addHelpText(
      'after',
      `
Examples:
  ostria ps
  ostria ps -o wide
  ostria ps -o json`,
    )
    .action(async (flags: PsFlags) => {
      const output = parseOutput(flags.output, ['wide', 'json', 'yaml']);
      const { paths } = requireRunning(flags.mesh);
      const status = await callControl<MeshStatus>(paths.controlSocket, 'status');
      process.stdout.write(
        output === 'json' || output === 'yaml'
          ? formatStructured(status, output)
          : psTable(status, output === 'wide'),
      );
    });
}

/** One row per instance; `wide` adds the ports. */
export function psTable(status: MeshStatus, wide: boolean, now = Date.now()): string {
  const header = ['NAME', 'SERVICE', 'VERSION', 'READY', 'RESTARTS', 'AGE', 'PID', 'STATUS'];
  const controlPlane = status.controlPlane;
  const rows = [
    {
      cells: [
        'control-plane',
        '',
        status.version,
        mark(controlPlane.ready),
        restartsOf(controlPlane.state),
        ageOf(controlPlane.state, now),
        pidOf(controlPlane.state),
        controlPlane.ready ? 'Running' : controlPlane.why,
      ],
      ports: `api ${status.ports.api}, xds ${status.ports.xds}, monitoring ${status.ports.monitoring}`,
    },
    ...status.instances.map((instance) => {
      const main = instance.app ?? instance.agent;
      const state = instance.ready
        ? `Running${gatewayPorts(instance)}`
        : main.state === 'ended' && main.code === 0
          ? 'Completed'
          : instance.why;
      return {
        cells: [
          instance.name,
          instance.service,
          instance.version,
          mark(instance.ready),
          String(instance.restarts),
          ageOf(main, now),
          pidOf(main),
          state,
        ],
        ports: [
          ...instance.endpoints.map(({ name, servicePort, listen }) => `${name} ${servicePort} on ${listen}`),
          ...(instance.appPort > 0 ? [`app ${instance.appPort}`] : []),
          ...(instance.httpProxy > 0 ? [`http-proxy ${instance.httpProxy}`] : []),
          `readiness ${instance.readinessPort}`,
          `metrics ${instance.metricsPort}`,
        ].join(', '),
      };
    }),
  ];
  return textTable(
    wide ? [...header, 'PORTS'] : header,
    rows.map(({ cells, ports }) => (wide ? [...cells, ports] : cells)),
  );
}

/** Where a gateway's ports are on this machine, as users need it to open them. */
function gatewayPorts({ kind, endpoints }: MeshStatus['instances'][number]): string {
  if (kind !== 'gateway' || endpoints.length === 0) return '';
  return ` (${endpoints.map(({ servicePort, listen }) => (servicePort === listen ? `${listen}` : `${servicePort} on ${listen}`)).join(', ')})`;
}

function mark(ready: boolean): string {
  return ready ? out.green('yes') : out.red('no');
}

function restartsOf(state: ProcessState): string {
  return state.state === 'running' || state.state === 'waiting' ? String(state.restarts) : '0';
}

function ageOf(state: ProcessState, now: number): string {
  return state.state === 'running' ? formatAge(now - state.since) : '-';
}

function pidOf(state: ProcessState): string {
  return state.state === 'running' ? String(state.pid) : '-';
}
