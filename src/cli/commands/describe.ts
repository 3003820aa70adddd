import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import type { ProxyStatus } from '../../xds/ledger.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';
import { proxyName } from '../proxy/proxy-name.ts';

interface DescribeFlags extends ConnectionFlags {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly output?: string;
}

const gather = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function registerDescribe(program: Command): void {
  const command = program
    .command('describe')
    .summary('show all that has a say in a service or a workload')
    .description(
      'Of a service: its ports and endpoints, the routes and rules that name it, and the policies on its workloads. Of a workload: its identity and certificates, services, mutual TLS, who may call it, every object that selects it or is attached to its Gateway, and of a gateway’s what it serves. With the warnings that concern it. Of the running mesh, or of files (-f).',
    )
    .argument('<kind>', 'service (svc), workload or pod (po)')
    .argument('<name>', 'its name; with .NAMESPACE where there are several')
    .option(
      '-f, --filename <path>',
      'files or directories of configuration, mesh.yaml too (repeatable)',
      gather,
      [],
    )
    .option('-R, --recursive', 'look into subdirectories')
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria describe service reviews
  ostria describe workload reviews-v1
  ostria describe pod reviews-v1-0 -o json
  ostria describe service reviews -f mesh.yaml -f networking/`,
    )
    .action(runDescribe);
}

async function runDescribe(kind: string, name: string, flags: DescribeFlags): Promise<void> {
  const output = parseOutput(flags.output, ['json', 'yaml']);
  const isService = ['service', 'services', 'svc'].includes(kind);
  if (!isService && !['workload', 'workloads', 'pod', 'pods', 'po'].includes(kind))
    throw new CodedError('UsageInvalid', `${kind} cannot be described; write service, workload or pod`);
  // Loaded where it is needed only: the compile is most of a control plane.
  const { modelOf, sourceOfFiles, sourceOfMesh } = await import('../explain/model-source.ts');
  const { describeServices, describeWorkloads } = await import('../describe/describe.ts');
  const { certificatesOf } = await import('../describe/certificates-of.ts');
  const { formatService, formatWarnings, formatWorkload } = await import('../describe/format-description.ts');
  const { runAnalysis } = await import('../analyze/run-analysis.ts');
  const fromFiles = flags.filename.length > 0;
  const { source, statuses } = fromFiles
    ? { source: await sourceOfFiles(flags.filename, flags), statuses: [] }
    : await withClient(flags, async (client) => ({
        source: await sourceOfMesh(client),
        statuses: await client.get<ProxyStatus[]>('/debug/syncz'),
      }));
  const model = modelOf(source);
  const services = isService ? describeServices(model, name, flags.namespace) : [];
  const workloads = isService ? [] : describeWorkloads(model, name, flags.namespace);
  const certificates = fromFiles
    ? new Map()
    : await withClient(flags, (client) =>
        certificatesOf(
          client,
          workloads.filter(({ proxy }) => proxy !== undefined).map(({ workload }) => workload),
        ),
      );
  const about = new Set(
    [...services, ...workloads]
      .flatMap((one) => [
        ...('routing' in one ? one.routing : []),
        ...('gateways' in one ? (one.gateways ?? []) : []),
        ...one.policies,
      ])
      .map((one) => `${one.kind} ${one.namespace}/${one.name}`),
  );
  const own = new Set([
    ...services.map(({ service }) => `Service ${service.split('.')[1]}/${service.split('.')[0]}`),
    ...workloads.map(({ workload }) => `Pod ${workload}`),
  ]);
  const warnings = runAnalysis(source.objects, [], {
    suppressions: [],
    assumeInstallation: fromFiles,
    workloadsKnown: true,
  }).filter(({ resource }) => about.has(resource) || own.has(resource));
  const stateOf = (workload: string) => proxyState(statuses, workload);
  if (output) {
    const shown = isService
      ? services
      : workloads.map((one) => ({
          ...one,
          state: stateOf(one.workload),
          certificates: certificates.get(one.workload),
        }));
    process.stdout.write(
      formatStructured({ [isService ? 'services' : 'workloads']: shown, warnings }, output),
    );
    return;
  }
  const texts = [
    ...services.map((one) => formatService(one, out)),
    ...workloads.map((one) =>
      formatWorkload(one, stateOf(one.workload), certificates.get(one.workload), out),
    ),
  ];
  writeText(`${texts.join('\n')}${formatWarnings(warnings, out)}`);
}

/** `in sync`, or what is not. */
function proxyState(statuses: readonly ProxyStatus[], workload: string): string | undefined {
  const [namespace, name] = workload.split('/');
  const own = statuses.filter(({ proxyId }) => proxyName(proxyId) === `${name}.${namespace}`);
  if (statuses.length === 0) return undefined;
  if (own.length === 0) return 'not connected';
  const states = new Set(own.flatMap(({ types }) => types.map(({ state }) => state)));
  return states.has('NACKED')
    ? 'it refused a part of its configuration'
    : states.has('STALE')
      ? 'behind'
      : 'in sync';
}
