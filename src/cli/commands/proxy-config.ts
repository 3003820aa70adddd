import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { addConnectionFlags, type ConnectionFlags, connect } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import {
  bootstrapOf,
  type ConfigDump,
  clustersOf,
  extensionsOf,
  listenersOf,
  routesOf,
  secretsOf,
} from '../proxy/config-dump.ts';
import { logLevels, logTable } from '../proxy/log-levels.ts';
import { findProxyName, type MeshProxies, proxiesOf } from '../proxy/mesh-proxies.ts';
import {
  type ClusterFilter,
  type ClusterStatuses,
  clusterTable,
  type EndpointFilter,
  endpointRows,
  endpointTable,
  extensionTable,
  filterClusters,
  filterListeners,
  type ListenerFilter,
  listenerTable,
  routeTable,
  secretTable,
} from '../proxy/summaries.ts';

interface CommonFlags extends ConnectionFlags {
  readonly output?: string;
  readonly file?: string;
}

/** What a subcommand shows: as data for -o json and yaml, or as istioctl's table. */
interface View {
  readonly data: unknown;
  readonly table: string;
}

interface Source {
  dump(query?: string): Promise<ConfigDump>;
  clusters(): Promise<ClusterStatuses>;
}

export function registerProxyConfig(program: Command): void {
  const group = program
    .command('proxy-config')
    .alias('pc')
    .summary('show what an Envoy of the mesh is configured with')
    .addHelpText(
      'after',
      `
Examples:
  ostria proxy-config cluster productpage-v1-0
  ostria proxy-config routes productpage-v1-0 -o json
  ostria pc endpoint productpage-v1-0 --cluster 'outbound|9080||reviews.default.svc.cluster.local'
  ostria pc secret istio-ingressgateway
  ostria pc log productpage-v1-0 --level http:debug
  ostria pc all productpage-v1-0 -o json > dump.json`,
    );

  add(group, 'cluster', ['clusters', 'c'], 'clusters: where calls can go')
    .option('--fqdn <text>', 'only clusters of a host that contains this')
    .option('--port <number>', 'only clusters of this port', port)
    .option('--subset <name>', 'only clusters of this subset')
    .option('--direction <direction>', 'inbound or outbound')
    .action((name: string | undefined, flags: CommonFlags & ClusterFilter) =>
      show(name, flags, async (source) => {
        const data = filterClusters(clustersOf(await source.dump()), flags);
        return { data, table: clusterTable(data) };
      }),
    );
  add(group, 'listener', ['listeners', 'l'], 'listeners: where traffic comes in')
    .option('--address <ip>', 'only listeners on this address')
    .option('--port <number>', 'only listeners on this port', port)
    .option('--type <type>', 'HTTP, TCP or HTTP+TCP')
    .action((name: string | undefined, flags: CommonFlags & ListenerFilter) =>
      show(name, flags, async (source) => {
        const data = filterListeners(listenersOf(await source.dump()), flags);
        return { data, table: listenerTable(data) };
      }),
    );
  add(group, 'route', ['routes', 'r'], 'routes: what goes where')
    .option('--name <name>', 'only the route configuration of this name')
    .action((name: string | undefined, flags: CommonFlags & { name?: string }) =>
      show(name, flags, async (source) => {
        const data = routesOf(await source.dump()).filter(
          (config) => flags.name === undefined || config.name === flags.name,
        );
        return { data, table: routeTable(data) };
      }),
    );
  add(group, 'endpoint', ['endpoints', 'ep'], 'endpoints: who answers')
    .option('--address <ip>', 'only endpoints with this address')
    .option('--port <number>', 'only endpoints with this port', port)
    .option('--cluster <name>', 'only endpoints of this cluster')
    .option('--status <status>', 'healthy or unhealthy')
    .action((name: string | undefined, flags: CommonFlags & EndpointFilter) =>
      show(name, flags, async (source) => {
        const data = endpointRows(await source.clusters(), flags);
        return { data, table: endpointTable(data) };
      }),
    );
  add(group, 'secret', ['secrets', 's'], 'certificates; private keys are never shown').action(
    (name: string | undefined, flags: CommonFlags) =>
      show(name, flags, async (source) => {
        const data = secretsOf(await source.dump());
        return { data, table: secretTable(data) };
      }),
  );
  add(group, 'ecds', ['ec'], 'extension configurations: filters that are delivered by themselves').action(
    (name: string | undefined, flags: CommonFlags) =>
      show(name, flags, async (source) => {
        const data = extensionsOf(await source.dump());
        return { data, table: extensionTable(data) };
      }),
  );
  add(group, 'all', ['a'], 'whole configuration: every table of the above').action(
    (name: string | undefined, flags: CommonFlags) =>
      show(name, flags, async (source) => {
        const data = await source.dump('?include_eds');
        return { data, table: await allTables(data, source) };
      }),
  );
  addLog(group);
  add(group, 'bootstrap', ['b'], 'what Envoy was started with').action(
    (name: string | undefined, flags: CommonFlags) =>
      show(name, flags, async (source) => {
        const data = bootstrapOf(await source.dump());
        return { data, table: formatStructured(data, 'json') };
      }),
  );
}

async function allTables(dump: ConfigDump, source: Source): Promise<string> {
  const secrets = secretsOf(dump);
  const extensions = extensionsOf(dump);
  const tables = [
    clusterTable(clustersOf(dump)),
    listenerTable(listenersOf(dump)),
    routeTable(routesOf(dump)),
    endpointTable(endpointRows(await source.clusters(), {})),
    ...(secrets.length > 0 ? [secretTable(secrets)] : []),
    ...(extensions.length > 0 ? [extensionTable(extensions)] : []),
  ];
  return tables.join('\n');
}

interface LogFlags extends ConnectionFlags {
  readonly level?: string;
  readonly reset?: boolean;
  readonly output?: string;
}

function addLog(group: Command): void {
  const command = group
    .command('log')
    .aliases(['o'])
    .summary('log levels: what Envoy writes to its log')
    .description('Shows the log level of each of Envoy’s loggers, or sets some or all of them.')
    .argument('<workload>', 'workload or replica: reviews-v1, reviews-v1-0, reviews-v1-0.default')
    .option(
      '--level <levels>',
      'a level for all, or logger:level,…; trace, debug, info, warning, error, critical or off',
    )
    .option('-r, --reset', 'back to warning, as Envoys are started')
    .option('-o, --output <format>', 'short (default), json or yaml');
  addConnectionFlags(command)
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  ostria proxy-config log productpage-v1-0
  ostria proxy-config log productpage-v1-0 --level debug
  ostria proxy-config log productpage-v1-0 --level http:debug,rbac:trace
  ostria proxy-config log productpage-v1-0 --reset`,
    )
    .action(async (name: string, flags: LogFlags) => {
      const output = parseOutput(flags.output, ['short', 'json', 'yaml']);
      const levels = await withEnvoy(flags, name, (ask) =>
        logLevels(ask, flags.reset ? 'warning' : flags.level),
      );
      process.stdout.write(
        output === 'json' || output === 'yaml' ? formatStructured(levels, output) : logTable(levels),
      );
    });
}

function add(group: Command, name: string, aliases: readonly string[], summary: string): Command {
  const command = group
    .command(name)
    .aliases(aliases)
    .summary(summary)
    .description(`Shows the ${summary}.`)
    .argument('[workload]', 'workload or replica: reviews-v1, reviews-v1-0, reviews-v1-0.default')
    .option('-o, --output <format>', 'short (default), json or yaml')
    .option('--file <path>', 'a config dump in a file instead of a running Envoy');
  return addConnectionFlags(command)
    .exitOverride()
    .addHelpText(
      'after',
      `\nExamples:\n  ostria proxy-config ${name} productpage-v1-0\n  ostria proxy-config ${name} productpage-v1-0 -o json`,
    );
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('it must be a port number.');
  return Number(text);
}

async function show(
  name: string | undefined,
  flags: CommonFlags,
  view: (source: Source) => Promise<View>,
): Promise<void> {
  const output = parseOutput(flags.output, ['short', 'json', 'yaml']);
  const { data, table } = await (flags.file === undefined
    ? ofEnvoy(name, flags, view)
    : view(ofFile(flags.file)));
  process.stdout.write(output === 'json' || output === 'yaml' ? formatStructured(data, output) : table);
}

function ofEnvoy(
  name: string | undefined,
  flags: CommonFlags,
  view: (source: Source) => Promise<View>,
): Promise<View> {
  if (name === undefined)
    throw new CodedError('UsageInvalid', 'which workload? Give its name (ostria ps lists them), or --file');
  return withEnvoy(flags, name, (ask) =>
    view({
      dump: async (query = '') => JSON.parse(await ask(`/config_dump${query}`)) as ConfigDump,
      clusters: async () => JSON.parse(await ask('/clusters?format=json')) as ClusterStatuses,
    }),
  );
}

/** Asks the Envoy of a workload, on this machine or through the API of its control plane. */
async function withEnvoy<T>(
  flags: ConnectionFlags,
  name: string,
  work: (ask: (page: string, method?: 'GET' | 'POST') => Promise<string>) => Promise<T>,
): Promise<T> {
  const { client, access } = connect(flags);
  try {
    const proxies: MeshProxies = proxiesOf(access, client);
    const found = findProxyName(await proxies.names(), name);
    return await work((page, method = 'GET') => proxies.ask(found, page, { method }));
  } finally {
    client.close();
  }
}

function ofFile(path: string): Source {
  const read = (): unknown => {
    try {
      return JSON.parse(readFileSync(path === '-' ? 0 : path, 'utf8'));
    } catch (error) {
      throw new CodedError('FileNotFound', `${path} cannot be read as JSON: ${messageOf(error)}`);
    }
  };
  return {
    dump: async () => {
      const value = read() as Partial<ConfigDump>;
      if (Array.isArray(value.configs)) return value as ConfigDump;
      throw new CodedError('UsageInvalid', `${path} is no config dump of Envoy: it has no "configs"`);
    },
    clusters: async () => read() as ClusterStatuses,
  };
}
