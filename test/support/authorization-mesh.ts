import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request, type Server } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { connect, createServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { originId } from '../../src/config/origin.ts';
import { verifySignature } from '../../src/kit/verify-signature.ts';
import type { Call } from '../../src/simulate/call.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { nodeId, type ProxySpec } from '../golden/mesh.ts';
import { AccessLog } from './access-log.ts';
import { type OpensslAuthority, opensslCertificate } from './authority.ts';
import { type AskedCall, type Caller, isAllowed, type PolicyObject } from './authorization-reference.ts';
import { type CompiledMesh, startCompiledMesh } from './compiled-mesh.ts';
import type { TestEnvoy } from './envoy.ts';
import { startEcho } from './http-echo.ts';
import { freePorts } from './ports.ts';
import { startTokenMaker, type TokenMaker } from './tokens.ts';

/*
 * One server behind a real Envoy, and callers that prove whatever identity they are told to: policies are judged by the documentation's
 * reference, by Envoy and by the simulator.
 */

const issuers = ['issuer', 'other'] as const;
const askedTrustDomains = ['cluster.local', 'old.example'] as const;
/** Where the server listens for whom: HTTP on the first two, bytes on the third. */
const askedPorts = [9080, 80, 81] as const;
const tcpPort = 81;

export interface AuthorizationMesh {
  readonly server: TestEnvoy;
  /** Puts policies in place of the earlier ones. */
  use(policies: readonly PolicyObject[]): Promise<void>;
  /** What reference, Envoy and simulator do not agree on, by place of the call; what goes away by itself is none. */
  compare(
    policies: readonly PolicyObject[],
    calls: readonly AskedCall[],
    patienceMs: number,
  ): Promise<Map<number, string>>;
  /** How many calls were let in and refused. */
  readonly counts: { allowed: number; refused: number };
  stop(): Promise<void>;
}

export async function startAuthorizationMesh(): Promise<AuthorizationMesh> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-authorization-'));
  const log = join(directory, 'access.log');
  const [app, tcpApp, ...listen] = (await freePorts(2 + askedPorts.length)) as [number, number, ...number[]];
  const tokens = startTokenMaker();
  const mesh = await startCompiledMesh(serverObjects(listen, tokens.keys), {
    defaultMtlsMode: 'PERMISSIVE',
    trustDomainAliases: ['old.example'],
    accessLogFile: log,
    accessLogFormat: '%REQ(X-NUMBER)%\t%RESPONSE_CODE_DETAILS%',
  });
  const spec: ProxySpec = {
    name: 'reviews-v1',
    namespace: 'shop',
    labels: { app: 'reviews' },
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: {},
        inbound: askedPorts.map((servicePort, index) => ({
          servicePort,
          listen: listen[index],
          app: servicePort === tcpPort ? tcpApp : app,
          protocol: servicePort === tcpPort ? 'tcp' : 'http',
        })),
        httpProxy: 0,
      },
    },
  };
  const echoes = [await startEcho('v1', app), await startByteEcho(tcpApp)];
  const server = await mesh.envoy(spec, { serviceAccount: 'reviews', logFlushMs: 20 });
  return new Harness(mesh, server, nodeId(spec), echoes, listen, tokens, directory, new AccessLog(log));
}

function serverObjects(listen: readonly number[], keys: string): string {
  const ports = askedPorts.map((port) => ({ name: port === tcpPort ? 'tcp' : `http-${port}`, port }));
  const objects = [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'reviews', namespace: 'shop' },
      spec: { clusterIP: '10.1.0.1', selector: { app: 'reviews' }, ports },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name: 'reviews-v1', namespace: 'shop' },
      spec: {
        address: '127.0.0.1',
        ports: Object.fromEntries(ports.map(({ name }, index) => [name, listen[index]])),
        labels: { app: 'reviews', 'security.istio.io/tlsMode': 'istio' },
        serviceAccount: 'reviews',
      },
    },
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'tokens', namespace: 'shop' },
      spec: { jwtRules: issuers.map((issuer) => ({ issuer, jwks: keys })) },
    },
  ];
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

async function startByteEcho(port: number): Promise<TcpServer> {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

/** What real Envoy did. TCP: 200 for bytes that came back, 0 for a connection that was closed. */
interface Observed {
  readonly status: number;
  readonly details: string;
}

const alpn = { http: ['istio', 'http/1.1'], tcp: ['istio'] };

class Harness implements AuthorizationMesh {
  readonly server: TestEnvoy;
  readonly counts = { allowed: 0, refused: 0 };
  readonly #mesh: CompiledMesh;
  readonly #proxyId: string;
  readonly #echoes: readonly (Server | TcpServer)[];
  readonly #listen: readonly number[];
  readonly #maker: TokenMaker;
  readonly #directory: string;
  readonly #log: AccessLog;
  readonly #certificates = new Map<string, OpensslAuthority>();
  #applied: string[] = [];
  #number = 0;

  constructor(
    mesh: CompiledMesh,
    server: TestEnvoy,
    proxyId: string,
    echoes: readonly (Server | TcpServer)[],
    listen: readonly number[],
    maker: TokenMaker,
    directory: string,
    log: AccessLog,
  ) {
    this.#mesh = mesh;
    this.server = server;
    this.#proxyId = proxyId;
    this.#echoes = echoes;
    this.#listen = listen;
    this.#maker = maker;
    this.#directory = directory;
    this.#log = log;
  }

  async use(policies: readonly PolicyObject[]): Promise<void> {
    const next = policies.map((policy) => ({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      ...policy,
    }));
    const ids = policies.map(({ metadata }) => `AuthorizationPolicy/${metadata.namespace}/${metadata.name}`);
    const gone = this.#applied.filter((id) => !ids.includes(id));
    this.#mesh.apply(next.map((object) => JSON.stringify(object)).join('\n---\n'), gone);
    this.#applied = ids;
    await this.#mesh.ledger.waitFor(this.#mesh.engine.revision, { timeoutMs: 30_000 });
  }

  async compare(
    policies: readonly PolicyObject[],
    calls: readonly AskedCall[],
    patienceMs: number,
  ): Promise<Map<number, string>> {
    const { engine } = this.#mesh;
    const resources = new DecodedResources(
      new Map(
        Object.values(typeUrls).map((typeUrl) => [
          typeUrl,
          new Map(engine.resources(this.#proxyId, typeUrl)),
        ]),
      ),
    );
    const until = performance.now() + patienceMs;
    let open = calls.map((call, index) => ({ call, index }));
    for (;;) {
      const seen = await this.#ask(open.map(({ call }) => call));
      const differing = open.flatMap(({ call, index }, at) => {
        const why = this.#difference(policies, call, resources, seen[at] as Observed);
        return why === undefined ? [] : [{ call, index, why }];
      });
      if (differing.length === 0 || performance.now() > until)
        return new Map(differing.map(({ index, why }) => [index, why]));
      open = differing;
      await sleep(50);
    }
  }

  #difference(
    policies: readonly PolicyObject[],
    call: AskedCall,
    resources: DecodedResources,
    seen: Observed,
  ): string | undefined {
    const allowed = isAllowed(policies, call, { trustDomains: askedTrustDomains });
    const expected = allowed ? 200 : call.http ? 403 : 0;
    if (expected !== seen.status) return `documentation says ${expected}, Envoy ${seen.status}`;
    this.counts[allowed ? 'allowed' : 'refused']++;
    const result = simulate(resources, this.#callOf(call), { now: Date.now(), verify: verifySignature });
    const simulated = result.closed ? 0 : (result.status ?? 200);
    if (simulated !== seen.status) return `simulator says ${simulated}, Envoy ${seen.status}`;
    if (call.http && !allowed && result.details !== seen.details)
      return `simulator says ${result.details}, Envoy ${seen.details}`;
    return this.#unnamed(result.refusedBy, result.steps);
  }

  /** A rule that refuses must be found in an object. */
  #unnamed(refusedBy: string | undefined, steps: ReturnType<typeof simulate>['steps']): string | undefined {
    if (refusedBy === undefined || refusedBy === 'none') return undefined;
    const origin = steps.find(
      ({ name, decision }) => name === refusedBy && decision?.verdict === 'refused',
    )?.origin;
    if (!origin) return `nobody knows who made ${refusedBy}`;
    const known = this.#applied.some((id) => originId({ ...origin, path: '' }) === id);
    return known ? undefined : `there is no ${originId(origin)}`;
  }

  #callOf({ caller, http, port, sni }: AskedCall): Call {
    const identity = uriOf(caller);
    return {
      address: '127.0.0.1',
      port: this.#portOf(port),
      mode: 'direct',
      protocol: http ? 'http' : 'tcp',
      tls: identity === undefined ? 'plaintext' : 'mtls',
      ...(identity === undefined ? {} : { identity, sni, alpn: http ? alpn.http : alpn.tcp }),
      sourceAddress: caller.ip,
      ...(http
        ? { host: http.host, method: http.method, path: http.path, headers: this.#headersOf(caller, http) }
        : {}),
    };
  }

  #portOf(port: number): number {
    return this.#listen[askedPorts.indexOf(port as (typeof askedPorts)[number])] as number;
  }

  #headersOf(
    { ip, remoteIp }: Caller,
    { headers, token }: NonNullable<AskedCall['http']>,
  ): Record<string, string> {
    return {
      ...headers,
      ...(ip === remoteIp ? {} : { 'x-forwarded-for': remoteIp }),
      ...(token ? { authorization: `Bearer ${this.#signed(token)}` } : {}),
    };
  }

  readonly #tokens = new WeakMap<object, string>();

  #signed(claims: object): string {
    const known = this.#tokens.get(claims);
    if (known !== undefined) return known;
    const token = this.#maker.sign(claims);
    this.#tokens.set(claims, token);
    return token;
  }

  async #ask(calls: readonly AskedCall[]): Promise<Observed[]> {
    const first = this.#number;
    this.#number += calls.length;
    // Connections of earlier policies are judged by those.
    const agents = {
      plain: new Agent({ keepAlive: true, maxSockets: 2 }),
      tls: new TlsAgent({ keepAlive: true, maxSockets: 2 }),
    };
    const statuses = await Promise.all(
      calls.map((call, at) =>
        call.http ? this.#askHttp(call, call.http, first + at, agents) : this.#askTcp(call),
      ),
    );
    agents.plain.destroy();
    agents.tls.destroy();
    const refused = calls.flatMap(({ http }, at) =>
      http && statuses[at] === 403 ? [String(first + at)] : [],
    );
    const lines = await this.#log.lines(refused);
    return statuses.map((status, at) => ({ status, details: lines.get(String(first + at))?.[1] ?? '' }));
  }

  #tlsOf(caller: Caller, sni: string) {
    const { certificate, key } = this.#certificateOf(caller);
    return { cert: certificate, key, servername: sni, rejectUnauthorized: false };
  }

  #certificateOf(caller: Caller): OpensslAuthority {
    const uri = uriOf(caller) as string;
    let made = this.#certificates.get(uri);
    if (!made) {
      made = opensslCertificate({
        directory: this.#directory,
        name: `caller-${this.#certificates.size}`,
        issuer: this.#mesh.authority,
        ca: false,
        names: [uri],
      });
      this.#certificates.set(uri, made);
    }
    return made;
  }

  #askHttp(
    { caller, port, sni }: AskedCall,
    http: NonNullable<AskedCall['http']>,
    number: number,
    agents: { readonly plain: Agent; readonly tls: TlsAgent },
  ): Promise<number> {
    const secured = caller.identity !== undefined;
    return new Promise((resolve, reject) => {
      const outgoing = (secured ? tlsRequest : request)(
        {
          host: '127.0.0.1',
          port: this.#portOf(port),
          localAddress: caller.ip,
          method: http.method,
          path: http.path,
          headers: {
            ...this.#headersOf(caller, http),
            host: http.host,
            'x-number': String(number),
            'content-length': '0',
          },
          ...(secured
            ? { ...this.#tlsOf(caller, sni), ALPNProtocols: alpn.http, agent: agents.tls }
            : { agent: agents.plain }),
        },
        (incoming) => {
          incoming.resume();
          incoming.on('end', () => resolve(incoming.statusCode ?? 0));
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  #askTcp({ caller, port, sni }: AskedCall): Promise<number> {
    const to = { host: '127.0.0.1', port: this.#portOf(port), localAddress: caller.ip };
    return new Promise((resolve) => {
      const socket =
        caller.identity === undefined
          ? connect(to)
          : tlsConnect({ ...to, ...this.#tlsOf(caller, sni), ALPNProtocols: alpn.tcp });
      // An inspector cannot tell from fewer bytes than a TLS record's header has.
      socket.write('ping and more');
      socket.setTimeout(30_000, () => socket.destroy());
      socket.once('data', () => {
        resolve(200);
        socket.destroy();
      });
      socket.once('close', () => resolve(0));
      socket.once('error', () => resolve(0));
    });
  }

  async stop(): Promise<void> {
    await this.#mesh.stop();
    for (const echo of this.#echoes) echo.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function uriOf({ identity }: Caller): string | undefined {
  return identity && `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.account}`;
}
