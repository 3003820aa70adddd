import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import type { OpensslAuthority } from './authority.ts';
import { type HelloMesh, networkingObject } from './hello-mesh.ts';
import { surroundingEdits } from './surrounding-edits.ts';

/** What people edit. None of these edits takes a probed request's listener away, or its last healthy destination. */
export const editKinds = [
  ...(['routes', 'gateways', 'certificates', 'endpoints'] as const),
  ...(Object.keys(surroundingEdits) as (keyof typeof surroundingEdits)[]),
];
export type EditKind = (typeof editKinds)[number];

export interface Edit {
  readonly kind: EditKind;
  make(): Promise<void>;
}

/** Name of the HTTPS server that is probed. */
export const secureHost = 'hello.example.com';
const host = 'helloworld';
const probed = { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] };

/** Servers of the gateway beside the probed ones: they share the listeners of these, or have one of their own. */
const besideServers = [80, 443, 8080].flatMap((number) =>
  [0, 1].map((index) => ({
    port: { number, name: `beside-${number}-${index}`, protocol: number === 443 ? 'HTTPS' : 'HTTP' },
    hosts: [`beside-${index}.example.com`],
    ...(number === 443 ? { tls: { mode: 'SIMPLE', credentialName: `beside-${index}` } } : {}),
  })),
);

/** The HTTPS server that is probed, and the certificates of all servers. Resolves before the gateway has taken them. */
export async function applySecureServer(
  mesh: HelloMesh,
  certificates: readonly OpensslAuthority[],
): Promise<void> {
  const names = ['hello', 'beside-0', 'beside-1'];
  await mesh.apply(
    ...names.map((name) => secret(name, certificates[0] as OpensslAuthority)),
    gateway('hello-secure', [secureServer]),
    ...routes([['', 100]]),
  );
}

const secureServer = {
  port: { number: 443, name: 'https', protocol: 'HTTPS' },
  hosts: [secureHost],
  tls: { mode: 'SIMPLE', credentialName: 'hello' },
};

function gateway(name: string, servers: readonly unknown[]): ConfigObject {
  return networkingObject('Gateway', name, { selector: { istio: 'ingressgateway' }, servers });
}

function secret(name: string, { certificate, key }: OpensslAuthority): ConfigObject {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'istio-system' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(certificate), 'tls.key': base64(key) },
  };
}

/** Subsets v1 and v2 under names of this edit. */
function subsets(mark: string, policy?: Record<string, unknown>): ConfigObject {
  return networkingObject('DestinationRule', host, {
    host,
    ...(policy ? { trafficPolicy: policy } : {}),
    subsets: ['v1', 'v2'].map((version) => ({ name: `${version}${mark}`, labels: { version } })),
  });
}

/** Where callers inside, and those at the gateway, are sent. An edit changes both, in one `apply`. */
function routes(
  destinations: [subset: string, weight: number][],
  more: Record<string, unknown> = {},
): ConfigObject[] {
  const route = destinations.map(([subset, weight]) => ({
    destination: { host, ...(subset === '' ? {} : { subset }) },
    weight,
  }));
  return [
    networkingObject('VirtualService', 'hello-mesh', { hosts: [host], http: [{ route, ...more }] }),
    networkingObject('VirtualService', 'helloworld', {
      hosts: ['*'],
      gateways: ['helloworld-gateway', 'hello-secure'],
      http: [{ match: [{ uri: { exact: '/hello' } }], route, ...more }],
    }),
  ];
}

/** All copies of helloworld get calls, by no rule. */
export async function clearRules(mesh: HelloMesh): Promise<void> {
  await mesh.apply(...routes([['', 100]]));
  await mesh.remove(networkingObject('VirtualService', 'hello-mesh', {}), subsets(''));
}

/** A server on a port of its own, so that it can be seen that edits of gateways act. */
export async function applyLastServer(mesh: HelloMesh): Promise<void> {
  await mesh.apply(
    gateway(
      'beside',
      besideServers.filter(({ port }) => port.number === 8080),
    ),
  );
}

/**
 * Writes that only together leave a healthy destination. The control plane waits 250 ms for the rest (docs/decisions/041): one after
 * the other they would take longer on a machine that is busy.
 */
async function applyAtOnce(mesh: HelloMesh, ...objects: ConfigObject[]): Promise<void> {
  await Promise.all(objects.map((object) => mesh.apply(object)));
}

/** One round of edits of routes, subsets and their policies. There are no rules before and after. */
function* round(mesh: HelloMesh, random: Random, number: number): Generator<() => Promise<void>> {
  const mark = `-${number}`;
  const [v1, v2] = [`v1${mark}`, `v2${mark}`];
  // A rule and the route that needs it, in both orders.
  if (number % 2 === 0) yield () => mesh.apply(subsets(mark), ...routes([[v1, 100]]));
  else yield () => applyAtOnce(mesh, ...routes([[v1, 100]]), subsets(mark));
  const optional = [
    () => mesh.apply(...routes([[v2, 100]])),
    () => {
      const share = random.below(101);
      const split: [string, number][] = [
        [v1, share],
        [v2, 100 - share],
      ];
      const more = { timeout: '20s', retries: { attempts: 2 + random.below(2), perTryTimeout: '9s' } };
      return mesh.apply(...routes(split, random.chance(0.5) ? more : {}));
    },
    () => mesh.apply(...routes([[v2, 100]], { headers: { response: { set: { 'x-edit': mark } } } })),
    () => mesh.apply(subsets(mark, { loadBalancer: { simple: random.pick(['RANDOM', 'LEAST_REQUEST']) } })),
    () =>
      mesh.apply(
        subsets(mark, {
          connectionPool: { http: { http2MaxRequests: 500 + random.below(100) } },
          outlierDetection: { consecutive5xxErrors: 50 },
        }),
      ),
  ];
  for (let i = 3 + random.below(6); i > 0; i--) yield random.pick(optional);
  // Other names for the same subsets: the old clusters go while requests are under way.
  yield () => applyAtOnce(mesh, subsets(`${mark}x`), ...routes([[`${v2}x`, 100]]));
  yield () => mesh.apply(...routes([['', 100]]));
  yield () => mesh.remove(networkingObject('VirtualService', 'hello-mesh', {}));
  yield () => mesh.remove(subsets(mark));
}

function* routeEdits(mesh: HelloMesh, random: Random): Generator<() => Promise<void>> {
  for (let number = 0; ; number++) yield* round(mesh, random, number);
}

/** Servers come and go in the probed Gateway object, and as a Gateway of their own. */
function gatewayEdit(mesh: HelloMesh, random: Random): () => Promise<void> {
  const some = besideServers.filter(() => random.chance(0.5));
  const [plain, secure] = [
    some.filter(({ port }) => port.number !== 443),
    some.filter(({ port }) => port.number === 443),
  ];
  return random.pick([
    () =>
      mesh.apply(gateway('helloworld-gateway', random.chance(0.5) ? [probed, ...plain] : [...plain, probed])),
    () => mesh.apply(gateway('hello-secure', [...secure, secureServer])),
    () => (some.length > 0 ? mesh.apply(gateway('beside', some)) : mesh.remove(gateway('beside', []))),
    () => mesh.remove(gateway('beside', [])),
  ]);
}

/**
 * Further copies of helloworld without a sidecar. They serve all the time; whether they are endpoints is edited, so the clusters turn
 * to endpoints without mTLS and back, too.
 */
export interface Copies {
  /** How many requests they answered. */
  readonly answered: number;
  edit(random: Random): () => Promise<void>;
  /** None is an endpoint any more. */
  withdraw(): Promise<void>;
  close(): void;
}

export async function startCopies(mesh: HelloMesh): Promise<Copies> {
  let answered = 0;
  // An Envoy decides when connections end: a server that ends an idle one by its own clock may meet a request on its way.
  const servers = await Promise.all(
    ['v1', 'v2', 'v1', 'v2'].map(async (version) => {
      const server: Server = createServer({ keepAliveTimeout: 0 }, (_, response) => {
        answered++;
        response.end(`Hello version: ${version}, instance: copy\n`);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return { server, version, port: (server.address() as AddressInfo).port };
    }),
  );
  const real = await mesh.read(networkingObject('WorkloadEntry', 'helloworld-v1-0', {}));
  const { ports, labels } = real.spec as { ports: Record<string, number>; labels: Record<string, string> };
  // The copies have no sidecar: they are called in plaintext.
  const { 'security.istio.io/tlsMode': _, ...plainLabels } = labels;
  const entry = (index: number): ConfigObject => {
    const { port, version } = servers[index] as (typeof servers)[number];
    return networkingObject('WorkloadEntry', `copy-${index}`, {
      address: '127.0.0.1',
      ports: Object.fromEntries(Object.keys(ports).map((name) => [name, port])),
      labels: { ...plainLabels, version },
    });
  };
  return {
    get answered() {
      return answered;
    },
    edit(random) {
      const index = random.below(servers.length);
      return random.pick([
        () => mesh.apply(entry(index)),
        () => mesh.remove(entry(index)),
        () =>
          mesh.apply(
            networkingObject('ServiceEntry', 'outside', {
              hosts: ['outside.example.com'],
              ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
              resolution: 'STATIC',
              endpoints: servers
                .slice(random.below(servers.length))
                .map(({ port }) => ({ address: '127.0.0.1', ports: { http: port } })),
            }),
          ),
      ]);
    },
    withdraw: () => mesh.remove(...servers.map((_, index) => entry(index))),
    close: () => {
      for (const { server } of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

/** Edits without end; the same seed draws the same ones. */
export function* randomEdits(
  mesh: HelloMesh,
  random: Random,
  { certificates, copies }: { certificates: readonly OpensslAuthority[]; copies: Copies },
): Generator<Edit> {
  const nextRoute = routeEdits(mesh, random);
  for (;;) {
    const kind = random.chance(0.4) ? 'routes' : random.pick(editKinds);
    const own: Partial<Record<EditKind, () => () => Promise<void>>> = {
      routes: () => nextRoute.next().value as () => Promise<void>,
      gateways: () => gatewayEdit(mesh, random),
      certificates: () => () =>
        mesh.apply(
          secret(random.pick(['hello', 'hello', 'beside-0', 'beside-1']), random.pick(certificates)),
        ),
      endpoints: () => copies.edit(random),
    };
    const surrounding =
      kind in surroundingEdits ? surroundingEdits[kind as keyof typeof surroundingEdits] : undefined;
    const make = own[kind]?.() ?? surrounding?.(mesh, random);
    if (make) yield { kind, make };
  }
}
