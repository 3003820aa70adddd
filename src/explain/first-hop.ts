import { parseIp } from '../kit/ip.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import type { Call } from '../simulate/call.ts';
import { allServices, endpointsByWorkload, endpointsKind, serviceKind } from '../snapshot/kinds.ts';
import type { ExplicitCapture, MeshProxy } from '../snapshot/proxy.ts';
import type { Caller } from './caller.ts';
import type { Decision, Lost } from './explanation.ts';
import { type Hop, identityOf, socketText } from './hop.ts';
import type { Question } from './question.ts';
import { suggest } from './suggest.ts';
import { resolveTarget, type Target, type TargetUrl } from './target.ts';
import { decidedBy } from './words.ts';

/** How a request begins: at a proxy, or past it. */
export interface Start {
  readonly decision: Decision;
  readonly target: Target;
  /** Absent: no proxy takes the connection. */
  readonly hop?: Hop;
  /** Where it goes then. */
  readonly address: string;
  readonly port: number;
  readonly call: Call;
}

/** A client on the internet (RFC 5737). */
const outsideAddress = '198.51.100.1';

/** What the application, or a client outside, does first. */
export function startOf(model: Model, caller: Caller, url: TargetUrl, question: Question): Start {
  const { at } = caller;
  const namespace = at.workload.namespace;
  const target = resolveTarget(model, url.host, caller.outside ? '' : namespace);
  const call = callFor(url, question, target);
  return begin(model, caller, url, question, target, call);
}

/** How the request began, as it is told: with names of services like one that is none. */
export function startDecision(model: Model, caller: Caller, url: TargetUrl, start: Start): Decision {
  if (caller.outside || start.target.looked !== 'outside') return start.decision;
  return { ...start.decision, lost: meant(model, url.host, caller.at.workload.namespace) };
}

function meant(model: Model, host: string, namespace: string): Lost[] {
  const { world } = model;
  const services = world.list(allServices, '').flatMap((key) => world.get(serviceKind, key) ?? []);
  const named = new Map(
    services.map((service) => [
      service.source === 'kubernetes' && service.namespace === namespace ? service.name : service.hostname,
      service,
    ]),
  );
  return suggest(host, named.keys()).map((name) => {
    const origin = named.get(name)?.origin;
    return {
      what: `the service ${name}`,
      why: `it is another name than ${host}`,
      ...(origin ? { by: decidedBy(model, origin) } : {}),
    };
  });
}

function begin(
  model: Model,
  caller: Caller,
  url: TargetUrl,
  question: Question,
  target: Target,
  call: Call,
): Start {
  const { at } = caller;
  if (caller.outside) return atGateway(model, at, url, call, target, question);
  const from: Call = { ...call, sourceAddress: question.address ?? at.workload.addresses[0] ?? '' };
  if (!at.proxy) return past(at, from, target, 'has no sidecar: the connection goes where its address leads');
  const { explicit } = at.proxy;
  return explicit
    ? byAllocation({ ...at, proxy: at.proxy }, explicit, url, from, target)
    : redirected(model, { ...at, proxy: at.proxy }, url, from, target);
}

function callFor(url: TargetUrl, question: Question, target: Target): Call {
  const headers = Object.fromEntries(
    Object.entries(question.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const { host: given, ...others } = headers;
  const tls = url.scheme === 'https' || url.scheme === 'tls';
  return {
    address: target.address,
    port: url.port,
    mode: 'outbound',
    protocol: url.scheme === 'tcp' ? 'tcp' : url.http2 ? 'http2' : 'http',
    tls: tls ? 'tls' : 'plaintext',
    // A client that calls an address names nobody (RFC 6066).
    ...(tls
      ? {
          sni: parseIp(url.host) ? '' : url.host,
          ...(url.scheme === 'https' ? { alpn: ['h2', 'http/1.1'] } : {}),
        }
      : {}),
    ...(url.scheme === 'tcp'
      ? {}
      : { host: given ?? url.authority, path: url.path, method: question.method ?? 'GET', headers: others }),
    ...(question.claims ? { claims: question.claims } : {}),
    ...(question.destination === undefined ? {} : { destination: question.destination }),
  };
}

type WithProxy = ModelWorkload & { readonly proxy: MeshProxy };

function capture(
  at: ModelWorkload,
  role: 'caller' | 'client' | 'gateway',
  what: string,
  name?: string,
): Decision {
  return { at: { workload: at.key, role }, stage: 'capture', what, ...(name ? { name } : {}), lost: [] };
}

function targetWords({ service, looked, address }: Target, port: number): string {
  const socket = socketText(address, port);
  if (service) return `${service.hostname}:${port}${looked === 'service' ? ` (${socket})` : ''}`;
  return looked === 'outside' ? `a host outside the mesh, port ${port}` : socket;
}

/** The kernel redirects everything that leaves the pod. */
function redirected(model: Model, at: WithProxy, url: TargetUrl, call: Call, target: Target): Start {
  const port = model.mesh.proxyListenPort;
  const what = `the connection to ${targetWords(target, url.port)} is redirected to the sidecar (port ${port})`;
  return {
    decision: capture(at, 'client', what),
    target,
    hop: { at, proxy: at.proxy, role: 'client', call },
    address: call.address,
    port: call.port,
    call,
  };
}

/** The application calls loopback ports that stand for services, or an HTTP proxy. */
function byAllocation(
  at: WithProxy,
  explicit: ExplicitCapture,
  url: TargetUrl,
  call: Call,
  target: Target,
): Start {
  const [loopback = '127.0.0.1'] = (explicit.families ?? ['IPv4']).map((family) =>
    family === 'IPv6' ? '::1' : '127.0.0.1',
  );
  // A listener stays where its service goes.
  const local = explicit.outbound[`${target.service?.hostname ?? url.host}:${url.port}`];
  const take = (port: number, change: Partial<Call>, what: string): Start => {
    const taken: Call = {
      ...call,
      mode: 'direct',
      address: loopback,
      port,
      sourceAddress: loopback,
      ...change,
    };
    const hop: Hop = { at, proxy: at.proxy, role: 'client', call: taken };
    return { decision: capture(at, 'client', what), target, hop, address: loopback, port, call: taken };
  };
  const words = targetWords({ ...target, looked: 'address' }, url.port);
  if (local !== undefined)
    return take(local, {}, `the application calls ${socketText(loopback, local)}, which stands for ${words}`);
  const proxyPort = explicit.httpProxy;
  const proxied = `the sidecar is the application's HTTP proxy (${socketText(loopback, proxyPort)})`;
  const authority = socketText(url.host, url.port);
  if (proxyPort > 0 && url.scheme === 'http')
    return take(proxyPort, { host: call.host ?? authority }, `${proxied}; it is asked for ${authority}`);
  if (proxyPort > 0 && url.scheme === 'https')
    return take(
      proxyPort,
      { tls: 'plaintext', method: 'CONNECT', host: authority, path: '' },
      `${proxied}; it is asked for a tunnel to ${authority}`,
    );
  const outside = `no port of ${at.workload.name} stands for ${words}: the connection passes by the mesh`;
  return { ...past(at, call, target, outside), decision: capture(at, 'client', outside) };
}

function past(at: ModelWorkload, call: Call, target: Target, why: string): Start {
  return {
    decision: capture(at, 'caller', `${at.workload.name} ${why}`),
    target,
    address: call.address,
    port: call.port,
    call,
  };
}

/** A client outside knows the gateway by the ports of its Service, or by those that it has on this machine. */
function atGateway(
  model: Model,
  at: ModelWorkload,
  url: TargetUrl,
  call: Call,
  target: Target,
  question: Question,
): Start {
  const { proxy } = at;
  const { port, servicePort } = gatewayPort(model, at, url.port);
  const address = proxy?.explicit ? '127.0.0.1' : (at.workload.addresses[0] ?? '');
  const proven = question.as !== undefined && call.tls === 'tls' ? { tls: 'mtls' as const } : {};
  const taken: Call = {
    ...call,
    ...proven,
    mode: 'direct',
    address,
    port,
    sourceAddress: question.address ?? outsideAddress,
    ...(question.as === undefined ? {} : { identity: question.as }),
  };
  const mapped = port === servicePort ? '' : `, its port ${port}`;
  return {
    decision: capture(at, 'gateway', `a client outside calls port ${servicePort} of the gateway${mapped}`),
    target,
    ...(proxy ? { hop: { at, proxy, role: 'gateway', call: taken } } : {}),
    address,
    port,
    call: taken,
  };
}

/** The port that the gateway listens on for a port of its Service. */
export function gatewayPort(
  { world }: Model,
  at: ModelWorkload,
  port: number,
): { readonly port: number; readonly servicePort: number } {
  const own = at.proxy?.explicit?.gateway;
  if (own) {
    const local = own[String(port)];
    if (local !== undefined) return { port: local, servicePort: port };
    const known = Object.entries(own).find(([, mapped]) => mapped === port);
    return { port, servicePort: known ? Number(known[0]) : port };
  }
  for (const key of world.list(endpointsByWorkload, at.key))
    for (const endpoint of world.get(endpointsKind, key)?.endpoints ?? [])
      if (endpoint.servicePort === port && `${endpoint.namespace}/${endpoint.workload}` === at.key)
        return { port: endpoint.port, servicePort: port };
  return { port, servicePort: port };
}

/** `as` in full: `namespace/serviceAccount` becomes a SPIFFE identity. */
export function identityFor(model: Model, at: ModelWorkload, as: string | undefined): string | undefined {
  if (as === undefined) return identityOf(model.mesh.trustDomain, at);
  if (as.startsWith('spiffe://')) return as;
  const match = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(as);
  return match ? `spiffe://${model.mesh.trustDomain}/ns/${match[1]}/sa/${match[2]}` : undefined;
}
