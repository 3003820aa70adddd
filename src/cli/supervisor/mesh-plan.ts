import type { ExplicitCapture } from '../../snapshot/proxy.ts';
import type { MeshFile, MeshGateway, MeshPort, MeshWorkload } from '../mesh-file/mesh-file.ts';
import { urlScheme } from '../mesh-file/port-protocols.ts';
import type { PortBook, PortWish } from '../state/port-book.ts';

/** One replica of a workload, or a gateway: an Envoy with its agent, and for workloads the application. */
export interface InstancePlan {
  /** Pod name: `reviews-v1-0`. Unique in the mesh. */
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent for gateways. */
  readonly workload?: MeshWorkload;
  readonly gateway?: MeshGateway;
  /** Service that it is part of; '' where it listens nowhere. */
  readonly service: string;
  /** Of the agent. */
  readonly readinessPort: number;
  readonly metricsPort: number;
  /** Where the application listens; 0: nowhere. Given to it as `PORT`. */
  readonly appPort: number;
  /** What others call: name and number of the service port, and the sidecar's (or gateway's) port for it. */
  readonly endpoints: readonly {
    readonly name: string;
    readonly servicePort: number;
    readonly listen: number;
  }[];
  readonly capture: ExplicitCapture;
  /** What the application finds in its environment, the user's own settings included. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface MeshPlan {
  readonly mesh: MeshFile;
  readonly instances: readonly InstancePlan[];
  readonly ports: { readonly api: number; readonly xds: number; readonly monitoring: number };
}

/** A service of the mesh file with its ports. */
interface PlannedService {
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly MeshPort[];
}

export const controlPlanePorts = {
  api: 'control-plane/api',
  xds: 'control-plane/xds',
  monitoring: 'control-plane/monitoring',
} as const;

const controlPlaneWishes: readonly PortWish[] = [
  { key: controlPlanePorts.api, offset: 0 },
  { key: controlPlanePorts.xds, offset: 12 },
  { key: controlPlanePorts.monitoring, offset: 14 },
];

/** Offsets from the port base above this are for workloads' ports. */
const namedOffsets = 12_000;

/** Kubernetes' conventional cluster domain. */
const clusterDomain = 'cluster.local';

export function serviceHost(service: { readonly name: string; readonly namespace: string }): string {
  return `${service.name}.${service.namespace}.svc.${clusterDomain}`;
}

/** Where ports come from: a book that remembers them, or, for a mesh that is only thought of, numbers that nobody listens on. */
export type Ports = Pick<PortBook, 'assign' | 'port' | 'keepOnly'>;

/** Assigns every port that a mesh needs and says what is to run. Pure but for the port book. */
export async function planMesh(mesh: MeshFile, book: Ports): Promise<MeshPlan> {
  const services = servicesOf(mesh.workloads);
  const replicas = mesh.workloads.flatMap((workload) =>
    Array.from({ length: workload.replicas }, (_, index) => ({
      workload,
      name: `${workload.name}-${index}`,
    })),
  );
  const wishes = [
    ...controlPlaneWishes,
    ...mesh.gateways.flatMap(gatewayWishes),
    ...replicas.flatMap(({ workload, name }) => workloadWishes(workload, name, services)),
  ];
  const wanted = new Set(wishes.map(({ key }) => key));
  book.keepOnly((key) => wanted.has(key) || key.startsWith(runKeyPrefix) || key.startsWith(startedKeyPrefix));
  await book.assign(wishes);
  return {
    mesh,
    instances: [
      ...mesh.gateways.map((gateway) => planGateway(gateway, mesh, book)),
      ...replicas.map(({ workload, name }) => planReplica(workload, name, mesh, services, book)),
    ],
    ports: {
      api: book.port(controlPlanePorts.api),
      xds: book.port(controlPlanePorts.xds),
      monitoring: book.port(controlPlanePorts.monitoring),
    },
  };
}

/** Keys of ports of processes that `ostria run` joins begin with it: they are not in the mesh file. */
const runKeyPrefix = 'run/';

/** Forgets the ports of a joined process, or of all of them. */
export function forgetJoined(book: PortBook, name?: string): void {
  const prefix = name === undefined ? runKeyPrefix : `${runKeyPrefix}${name}/`;
  book.keepOnly((key) => !key.startsWith(prefix));
}

/** Likewise of gateways that were started for Gateway objects. */
const startedKeyPrefix = 'started/';

/** Forgets the ports of started gateways, but for those that are told. */
export function forgetStarted(book: PortBook, kept: readonly MeshGateway[]): void {
  const keys = kept.map((gateway) => `${portKey(gateway)}/`);
  book.keepOnly((key) => !key.startsWith(startedKeyPrefix) || keys.some((one) => key.startsWith(one)));
}

/** Pod name: gateways of the mesh file have names of their own, those of Gateway objects one per namespace. */
export function gatewayInstance({ name, namespace, startedFor }: MeshGateway): string {
  return startedFor === undefined || namespace === 'default' ? name : `${name}.${namespace}`;
}

function portKey(gateway: MeshGateway): string {
  const name = gatewayInstance(gateway);
  return gateway.startedFor === undefined ? name : `${startedKeyPrefix}${name}`;
}

/** Plans one process that joins a mesh (`ostria run`). */
export async function planJoined(
  workload: MeshWorkload,
  mesh: MeshFile,
  book: PortBook,
): Promise<InstancePlan> {
  const services = servicesOf([...mesh.workloads, workload]);
  await book.assign(workloadWishes(workload, workload.name, services, runKeyPrefix));
  return planReplica(workload, workload.name, mesh, services, book, runKeyPrefix);
}

function servicesOf(workloads: readonly MeshWorkload[]): PlannedService[] {
  const services = new Map<string, PlannedService>();
  for (const { service, namespace, ports } of workloads) {
    const key = `${namespace}/${service}`;
    if (ports.length > 0 && !services.has(key)) services.set(key, { name: service, namespace, ports });
  }
  return [...services.values()];
}

function workloadWishes(
  workload: MeshWorkload,
  name: string,
  services: readonly PlannedService[],
  prefix = '',
): PortWish[] {
  const at = `${prefix}${name}`;
  return [
    { key: `${at}/readiness` },
    { key: `${at}/metrics` },
    { key: `${at}/http-proxy` },
    ...workload.ports.flatMap(({ port, target }) => [
      { key: `${at}/inbound/${port}` },
      { key: `${at}/app/${port}`, ...(target === undefined ? {} : { exact: target }) },
    ]),
    ...services.flatMap((service) =>
      service.ports.map(({ port }) => ({ key: `${at}/outbound/${serviceHost(service)}:${port}` })),
    ),
  ];
}

function gatewayWishes(gateway: MeshGateway): PortWish[] {
  const at = portKey(gateway);
  return [
    { key: `${at}/readiness` },
    { key: `${at}/metrics` },
    ...gateway.ports.map(({ port, published, preferred }) => ({
      key: `${at}/gateway/${port}`,
      ...(published !== undefined
        ? { exact: published }
        : preferred !== undefined
          ? { preferred }
          : port < namedOffsets
            ? { offset: port }
            : {}),
    })),
  ];
}

/** The loopback addresses of an allocation, the primary first. */
export function loopbacks({ families = ['IPv4'] }: Pick<ExplicitCapture, 'families'>): string[] {
  return families.map((family) => (family === 'IPv6' ? '::1' : '127.0.0.1'));
}

/** Absent for IPv4 alone: such allocations stay what they were. */
function familiesOf({ ipFamilies }: MeshFile): Pick<ExplicitCapture, 'families'> {
  return ipFamilies.join() === 'IPv4' ? {} : { families: ipFamilies };
}

function planGateway(gateway: MeshGateway, mesh: MeshFile, book: Ports): InstancePlan {
  const at = portKey(gateway);
  const endpoints = gateway.ports.map(({ name, port }) => ({
    name,
    servicePort: port,
    listen: book.port(`${at}/gateway/${port}`),
  }));
  return {
    name: gatewayInstance(gateway),
    namespace: gateway.namespace,
    serviceAccount: gateway.serviceAccount,
    labels: gateway.labels,
    gateway,
    service: gateway.name,
    readinessPort: book.port(`${at}/readiness`),
    metricsPort: book.port(`${at}/metrics`),
    appPort: 0,
    endpoints,
    capture: {
      ...familiesOf(mesh),
      outbound: {},
      inbound: [],
      gateway: Object.fromEntries(endpoints.map(({ servicePort, listen }) => [String(servicePort), listen])),
      httpProxy: 0,
    },
    environment: {},
  };
}

function planReplica(
  workload: MeshWorkload,
  name: string,
  mesh: MeshFile,
  services: readonly PlannedService[],
  book: Ports,
  prefix = '',
): InstancePlan {
  const at = `${prefix}${name}`;
  const inbound = workload.ports.map(({ port, protocol }) => ({
    servicePort: port,
    listen: book.port(`${at}/inbound/${port}`),
    app: book.port(`${at}/app/${port}`),
    protocol,
  }));
  const outbound = Object.fromEntries(
    services.flatMap((service) =>
      service.ports.map(({ port }) => {
        const host = `${serviceHost(service)}:${port}`;
        return [host, book.port(`${at}/outbound/${host}`)];
      }),
    ),
  );
  const capture = { ...familiesOf(mesh), outbound, inbound, httpProxy: book.port(`${at}/http-proxy`) };
  const appPort = inbound[0]?.app ?? 0;
  return {
    name,
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount,
    labels: workload.labels,
    workload,
    service: workload.ports.length > 0 ? workload.service : '',
    readinessPort: book.port(`${at}/readiness`),
    metricsPort: book.port(`${at}/metrics`),
    appPort,
    endpoints: workload.ports.map(({ name: portName, port }, index) => ({
      name: portName,
      servicePort: port,
      listen: inbound[index]?.listen ?? 0,
    })),
    capture,
    environment: {
      ...meshEnvironment(workload, name, services, capture),
      // What the user wrote wins.
      ...workload.environment,
    },
  };
}

/**
 * How an application finds its port and the others: `PORT` (further ones `PORT_<NAME>`), for each service of its namespace the
 * Kubernetes convention `<SERVICE>_SERVICE_HOST`, `_PORT`, `_PORT_<NAME>` and `<SERVICE>_URL`, and a proxy for every other host.
 */
function meshEnvironment(
  workload: MeshWorkload,
  name: string,
  services: readonly PlannedService[],
  capture: ExplicitCapture,
): Record<string, string> {
  const environment: Record<string, string> = {
    HOSTNAME: name,
    POD_NAME: name,
    POD_NAMESPACE: workload.namespace,
    SERVICE_NAME: workload.service,
    SERVICE_VERSION: workload.version,
    CLUSTER_NAME: 'local',
  };
  capture.inbound.forEach(({ app }, index) => {
    if (index === 0) environment.PORT = String(app);
    environment[`PORT_${variableName(workload.ports[index]?.name ?? '')}`] = String(app);
  });
  const [loopback = ''] = loopbacks(capture);
  const authority = loopback.includes(':') ? `[${loopback}]` : loopback;
  for (const service of services) {
    if (service.namespace !== workload.namespace) continue;
    const variable = variableName(service.name);
    for (const [index, { name: portName, port, protocol }] of service.ports.entries()) {
      const local = capture.outbound[`${serviceHost(service)}:${port}`];
      if (local === undefined) continue;
      if (index === 0) {
        environment[`${variable}_SERVICE_HOST`] = loopback;
        environment[`${variable}_SERVICE_PORT`] = String(local);
        environment[`${variable}_URL`] = `${urlScheme(protocol)}://${authority}:${local}`;
      }
      environment[`${variable}_SERVICE_PORT_${variableName(portName)}`] = String(local);
    }
  }
  if (capture.httpProxy > 0) {
    const proxy = `http://${authority}:${capture.httpProxy}`;
    const direct = 'localhost,127.0.0.1,::1';
    const variables = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: direct };
    // Programs do not agree on the case.
    for (const [name, value] of Object.entries(variables))
      Object.assign(environment, { [name]: value, [name.toLowerCase()]: value });
  }
  return environment;
}

function variableName(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
}

/** What a copy must be stopped for when it changes. How many others there are is no concern of it. */
export function shapeOf({ workload, ...plan }: InstancePlan): string {
  return JSON.stringify({ ...plan, ...(workload ? { workload: { ...workload, replicas: 1 } } : {}) });
}
