import { createSecureServer } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { lazyLabel } from '../../../src/plan/lazy.ts';
import { nodeId, type ProxySpec } from '../../golden/mesh.ts';
import type { OpensslAuthority } from '../authority.ts';
import type { CompiledMesh } from '../compiled-mesh.ts';
import { startDoubleEcho, startOpaqueEcho } from '../double-echo.ts';
import type { TestEnvoy } from '../envoy.ts';
import { apiGateway, apiPorts } from '../gateway-api-arbitrary.ts';
import { freePorts } from '../ports.ts';
import { type Backend, servicePorts, services, type TrafficRequest } from '../traffic-arbitrary.ts';
import { capturedTargets, type Outside, outsideAddresses } from './captured-arbitrary.ts';
import type { Place } from './client.ts';
import { routedPorts } from './connection-routes-arbitrary.ts';
import type { Asking, ExplainedWorkload } from './explain.ts';
import { opaquePorts, opaqueServices } from './opaque-arbitrary.ts';
import { clientPlace, gatewayPlace } from './places-arbitrary.ts';

/** A port of a proxy where requests come in. */
export interface Entry extends Place {
  readonly proxyId: string;
  readonly identity: string;
  /** Clients speak bytes, without HTTP. */
  readonly opaque: boolean;
  /** Drawn by other words than those of services: of captured clients. */
  readonly outside: boolean;
  /** Of proxies that load what they need: the same place of one that has it all, which is what they must be like. */
  readonly like?: Pick<Entry, 'port' | 'proxyId'>;
  readonly asking: Asking;
}

export const spiffe = (namespace: string, account: string) =>
  `spiffe://cluster.local/ns/${namespace}/sa/${account}`;

const allPorts = [...servicePorts, ...Object.values(opaquePorts)];
const gatewayPorts = [
  ...[...servicePorts, 443, ...apiPorts],
  ...[...Object.values(opaquePorts), ...Object.values(routedPorts)],
];
const targets = [
  ...services.flatMap(({ host }) => servicePorts.map((port) => `${host}:${port}`)),
  ...opaqueServices.flatMap(({ host }) => Object.values(opaquePorts).map((port) => `${host}:${port}`)),
];

/** Servers with sidecars, as endpoints of the services of their namespaces. */
export const servers = [
  { name: 'web-v1', namespace: 'shop', version: 'v1' },
  { name: 'web-v2', namespace: 'bank', version: 'v2' },
] as const;

/** Of the captured client, by which servers know it. */
const capturedAddress = '127.0.0.9';

const carriesTls = (port: number) => port === opaquePorts.tls || port === routedPorts.tls;
const isOpaque = (port: number) => port === opaquePorts.tcp || port === routedPorts.tcp || carriesTls(port);

/** Proxies of a mesh and applications behind them, as far as they are started. */
export class Starting {
  readonly envoys: TestEnvoy[] = [];
  readonly echoes: { close(): unknown }[] = [];
  readonly entries = new Map<string, Entry>();
  readonly applications = new Map<number, 'http' | 'https' | 'bytes'>();
  readonly sidecars = new Map<string, { proxyId: string; identity: string }>();
  readonly backends: Backend[] = [];
  readonly workloads: ExplainedWorkload[] = [
    {
      spec: { name: 'stranger', namespace: 'shop' },
      serviceAccount: 'default',
      address: '10.9.9.9',
      hasProxy: false,
    },
  ];
  readonly #mesh: CompiledMesh;
  readonly #own: OpensslAuthority;
  #lazy: { spec: ProxySpec; count: number; envoy?: TestEnvoy } | undefined;

  constructor(mesh: CompiledMesh, own: OpensslAuthority) {
    this.#mesh = mesh;
    this.#own = own;
  }

  #add(name: string, spec: ProxySpec, entry: Pick<Entry, 'port' | 'asking'> & Partial<Entry>): void {
    const identity = spiffe(spec.namespace ?? '', serviceAccountOf(spec));
    this.entries.set(name, {
      proxyId: nodeId(spec),
      identity,
      absolute: false,
      tls: false,
      opaque: false,
      outside: false,
      ...entry,
    });
  }

  /** A proxy, and the workload whose it is. */
  async #envoy(spec: ProxySpec): Promise<void> {
    const serviceAccount = serviceAccountOf(spec);
    this.envoys.push(await this.#mesh.envoy(spec, { serviceAccount, logFlushMs: 20 }));
    this.workloads.push({ spec, serviceAccount, address: '127.0.0.1', hasProxy: true });
  }

  /** A workload that calls services by ports of its own, and anything by its forward proxy. */
  async client(): Promise<void> {
    const { spec, outbound, httpProxy } = await clientSpec('client', {});
    await this.#envoy(spec);
    this.#addClient(spec, outbound, httpProxy, '');
  }

  /** Another one, whose proxy loads what it needs. */
  async lazyClient(): Promise<void> {
    const { spec, outbound, httpProxy } = await clientSpec('lazy', { [lazyLabel]: 'true' });
    this.workloads.push({ spec, serviceAccount: 'client', address: '127.0.0.1', hasProxy: true });
    this.#addClient(spec, outbound, httpProxy, 'lazy ');
    this.#lazy = { spec, count: 0 };
    await this.renewLazy();
  }

  /** What is remembered of an application is another one's now. */
  async renewLazy(): Promise<void> {
    if (!this.#lazy) return;
    const { spec, envoy: last, count } = this.#lazy;
    if (last) {
      await last.stop();
      this.envoys.splice(this.envoys.indexOf(last), 1);
    }
    const labels = { ...spec.labels, 'service.istio.io/canonical-name': `lazy-${count}` };
    const envoy = await this.#mesh.envoy({ ...spec, labels }, { serviceAccount: 'client', logFlushMs: 20 });
    this.envoys.push(envoy);
    this.#lazy = { spec, envoy, count: count + 1 };
  }

  #addClient(spec: ProxySpec, outbound: Outbound, httpProxy: number, prefix: 'lazy ' | ''): void {
    // The same, by the one way that names do not lead to: its forward proxy.
    const proxied = { ...spec, name: `${spec.name}-proxied` };
    this.workloads.push({
      spec: { ...proxied, metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy } } },
      serviceAccount: 'client',
      address: '127.0.0.1',
      hasProxy: true,
    });
    const likeOf = (name: string) => (prefix === '' ? {} : { like: this.entries.get(name) as Entry });
    for (const [target, port] of Object.entries(outbound)) {
      const opaque = isOpaque(Number(target.split(':').at(-1)));
      // What is no HTTP is not lazy.
      if (opaque && prefix !== '') continue;
      const asking = { from: `shop/${spec.name}`, authority: () => target };
      this.#add(`${prefix}${target}`, spec, { port, opaque, asking, ...likeOf(target) });
    }
    this.#add(`${prefix}forward proxy`, spec, {
      port: httpProxy,
      absolute: true,
      asking: { from: `shop/${proxied.name}`, authority: ({ host }) => host },
      ...likeOf('forward proxy'),
    });
  }

  /** A workload whose connections are led to its proxy, which listens at `port`; and applications that it may know from outside. */
  async capturedClient(port: number, outside: Outside): Promise<void> {
    const spec: ProxySpec = {
      name: 'captured',
      namespace: 'shop',
      ip: capturedAddress,
      labels: { app: 'client', capture: 'kernel' },
      locality: clientPlace,
      metadata: { INTERCEPTION_MODE: 'REDIRECT' },
    };
    const source = { address: capturedAddress, port_value: 0 };
    this.envoys.push(
      await this.#mesh.envoy(spec, {
        serviceAccount: 'client',
        logFlushMs: 20,
        bootstrap: { cluster_manager: { upstream_bind_config: { source_address: source } } },
      }),
    );
    this.workloads.push({ spec, serviceAccount: 'client', address: capturedAddress, hasProxy: true });
    for (const target of capturedTargets(outside)) {
      const [address = '', wanted] = target.split(':');
      this.#add(`captured ${target}`, spec, {
        port: Number(wanted),
        captured: { address, source: capturedAddress, port },
        outside: true,
        // A name of TLS is not what the client looked up.
        asking: { from: 'shop/captured', authority: ({ sni = '' }) => (sni === '' ? target : undefined) },
      });
    }
    this.applications.set(outside.http, 'http').set(outside.bytes, 'bytes');
    for (const address of outsideAddresses)
      this.echoes.push(
        await startDoubleEcho(String(outside.http), outside.http, address),
        await startOpaqueEcho(this.#own, outside.bytes, address),
      );
  }

  async gateway(): Promise<void> {
    const ports = await freePorts(gatewayPorts.length);
    const gateway = Object.fromEntries(gatewayPorts.map((port, index) => [String(port), ports[index]]));
    const router: ProxySpec = {
      type: 'router',
      name: 'gateway',
      namespace: 'istio-system',
      locality: gatewayPlace,
      labels: { istio: 'ingressgateway', 'gateway.networking.k8s.io/gateway-name': apiGateway },
      metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway } },
    };
    await this.#envoy(router);
    for (const [index, port] of gatewayPorts.entries()) {
      const tls = port === 443 || port === 444;
      // A client that names no server calls an address.
      const authority = ({ sni = '' }: TrafficRequest) =>
        tls || carriesTls(port) ? `${sni === '' ? '127.0.0.1' : sni}:${port}` : `front.test:${port}`;
      this.#add(`gateway:${port}`, router, {
        port: ports[index] as number,
        tls,
        opaque: isOpaque(port),
        asking: { from: 'istio-system/gateway', authority },
      });
    }
  }

  /** An application for each port, without proxy. */
  async backend(version: string): Promise<void> {
    const [http = 0, bytes = 0] = await freePorts(2);
    await this.#listen(http, bytes);
    this.applications.set(http, 'http').set(bytes, 'bytes');
    this.backends.push({ version, ports: byServicePort(http, bytes) });
  }

  async #listen(http: number, bytes: number): Promise<void> {
    this.echoes.push(await startDoubleEcho(String(http), http), await startOpaqueEcho(this.#own, bytes));
  }

  /** Applications behind a proxy. */
  async server({ name, namespace, version }: (typeof servers)[number]): Promise<void> {
    const [http = 0, bytes = 0, ...listening] = await freePorts(2 + allPorts.length);
    await this.#listen(http, bytes);
    const apps = byServicePort(http, bytes);
    const listen = Object.fromEntries(allPorts.map((port, index) => [port, listening[index] as number]));
    const inbound = allPorts.map((servicePort) => ({
      servicePort,
      listen: listen[servicePort],
      app: apps[servicePort],
      protocol: isOpaque(servicePort) ? 'tcp' : 'http',
    }));
    const spec: ProxySpec = {
      name,
      namespace,
      labels: { app: 'web', version },
      metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound, httpProxy: 0 } },
    };
    await this.#envoy(spec);
    this.backends.push({ version, ports: listen, sidecar: namespace });
    const identity = spiffe(namespace, 'web');
    for (const port of listening) this.sidecars.set(`127.0.0.1:${port}`, { proxyId: nodeId(spec), identity });
    const port = listen[80] as number;
    const authority = () => `127.0.0.1:${port}`;
    this.#add(`${name}:80`, spec, { port, asking: { from: 'shop/stranger', authority, atServer: true } });
  }

  /** An HTTP application that ends TLS itself; its port. */
  async tlsEcho(): Promise<number> {
    const { certificate: cert, key } = this.#own;
    const server = createSecureServer({ allowHTTP1: true, cert, key }, (incoming, response) => {
      const { url: path = '', method, httpVersion, headers } = incoming;
      const host = headers[':authority'] ?? headers.host;
      const version = String(portOf(server));
      response.end(JSON.stringify({ version, method, host, path, httpVersion, headers }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.echoes.push(server);
    this.applications.set(portOf(server), 'https');
    return portOf(server);
  }
}

type Outbound = Readonly<Record<string, number>>;

async function clientSpec(name: string, more: Record<string, string>) {
  const ports = await freePorts(targets.length + 1);
  const httpProxy = ports.pop() as number;
  const outbound: Outbound = Object.fromEntries(
    targets.map((target, index) => [target, ports[index] as number]),
  );
  const spec: ProxySpec = {
    name,
    namespace: 'shop',
    labels: { app: 'client', ...more },
    locality: clientPlace,
    metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy } },
  };
  return { spec, outbound, httpProxy };
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

const byServicePort = (http: number, bytes: number): Record<number, number> =>
  Object.fromEntries(allPorts.map((port) => [port, isOpaque(port) ? bytes : http]));

function serviceAccountOf({ type, labels }: ProxySpec): string {
  return type === 'router' ? 'gateway' : labels?.app === 'client' ? 'client' : 'web';
}
