import type { Seen } from './backends.ts';
import { type HttpAnswer, sendGrpc, sendHttp, sendTcp, sendUdp, tlsHandshake } from './requests.ts';
import type { SuiteMesh } from './suite-mesh.ts';

/** A request of the suite's tables, with what must come of it. */
export interface SuiteCase {
  kind: 'http' | 'https' | 'grpc' | 'tcp' | 'udp' | 'tls' | 'mesh' | 'weightedDistribution';
  step?: string;
  gateway?: string;
  port?: number | null;
  from?: string;
  fromNamespace?: string;
  request?: {
    method?: string;
    path?: string;
    query?: Record<string, string>;
    host?: string;
    headers?: Record<string, string>;
    protocol?: string;
    serverName?: string;
    withClientCert?: boolean;
    service?: string;
    authority?: string;
    metadata?: Record<string, string>;
    tls?: boolean;
  };
  expect: {
    status?: number | number[];
    grpcCode?: number;
    backend?: string;
    namespace?: string;
    requestAtBackend?: {
      path?: string;
      host?: string;
      method?: string;
      headers?: Record<string, string>;
      absentHeaders?: string[];
    };
    responseHeaders?: Record<string, string>;
    absentResponseHeaders?: string[];
    redirect?: { scheme?: string; host?: string; port?: string; path?: string };
    hostname?: string;
    backendIsTLS?: boolean;
    service?: string;
    mirroredTo?: { name: string; namespace: string; percent?: number }[];
    echo?: boolean;
    connectable?: boolean;
    connectionFailure?: boolean;
    connectionRejected?: boolean;
    weights?: Record<string, number>;
    tolerance?: number;
    requests?: number;
  };
}

type Request = NonNullable<SuiteCase['request']>;
type Expect = SuiteCase['expect'];

function want(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** Runs one case; throws what differs. */
export async function runCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  switch (wanted.kind) {
    case 'http':
    case 'https':
      return httpCase(mesh, wanted);
    case 'mesh':
      return meshCase(mesh, wanted);
    case 'grpc':
      return grpcCase(mesh, wanted);
    case 'tls':
      return want(
        !(await tlsHandshake(await portOf(mesh, wanted), wanted.request?.serverName ?? '')),
        'the connection was not refused',
      );
    case 'tcp':
      return tcpCase(mesh, wanted);
    case 'udp':
      return udpCase(mesh, wanted);
    case 'weightedDistribution':
      throw new Error('a distribution needs the request before it');
  }
}

export function portOf(mesh: SuiteMesh, { gateway, port }: SuiteCase): Promise<number> {
  if (!gateway || !port) throw new Error('the case names no gateway or port');
  return mesh.portOf(gateway, port);
}

async function httpCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  const { request = {}, expect } = wanted;
  const port = await portOf(mesh, wanted);
  const host = request.host || 'example.org';
  const tls = wanted.kind === 'https' ? { tls: clientOf(mesh, wanted, request) } : {};
  const answer = sendHttp(port, { ...request, host }, tls.tls);
  if (expect.connectionFailure) return expectFailure(answer);
  checkHttp(await answer, { ...request, host }, expect, wanted.kind);
}

/** The tables do not say which certificate a client shows: the one that is trusted, or, where it must fail or not match, another. */
function clientOf(mesh: SuiteMesh, wanted: SuiteCase, request: Request) {
  if (!request.withClientCert) return {};
  const { client, perPortClient } = mesh.certificates;
  const right = wanted.port === 8443 ? perPortClient : client;
  const wrong = wanted.port === 8443 ? client : perPortClient;
  return { client: wanted.expect.connectionFailure || wanted.step?.includes('non-matching') ? wrong : right };
}

/** An error of the connection, or an error answer of the gateway for it. */
async function expectFailure(answer: Promise<{ status: number }>): Promise<void> {
  const status = await answer.then(
    (found) => found.status,
    () => 0,
  );
  want(status === 0 || status >= 400, `status ${status}, wanted a failure`);
}

function checkHttp(answer: HttpAnswer, request: Request, expect: Expect, scheme: string): void {
  const statuses = expect.status === undefined ? [] : [expect.status].flat();
  want(
    statuses.length === 0 || statuses.includes(answer.status),
    `status ${answer.status}, wanted ${statuses.join(' or ')} (${answer.body.slice(0, 200)})`,
  );
  for (const [name, value] of Object.entries(expect.responseHeaders ?? {}))
    want(
      sameValue(answer.headers[name.toLowerCase()], value),
      `response header ${name}: ${answer.headers[name.toLowerCase()]}, wanted ${value}`,
    );
  for (const name of expect.absentResponseHeaders ?? [])
    want(answer.headers[name.toLowerCase()] === undefined, `response header ${name} is there`);
  if (expect.redirect) checkRedirect(answer, request, expect.redirect, scheme === 'https' ? 'https' : 'http');
  // What the gateway itself answers no backend saw.
  const byGateway = answer.status >= 500 && !answer.body.startsWith('{');
  if ((expect.backend || expect.requestAtBackend) && !byGateway)
    checkBackend(parse(answer.body), request, expect, scheme !== 'mesh');
}

function parse(body: string): Seen {
  try {
    return JSON.parse(body) as Seen;
  } catch {
    throw new Error(`no backend answered: ${body.slice(0, 200)}`);
  }
}

function checkBackend(seen: Seen, request: Request, expect: Expect, paths = true): void {
  if (expect.backend)
    want(seen.pod.startsWith(expect.backend), `answered by ${seen.pod}, wanted ${expect.backend}`);
  if (expect.namespace && expect.backend)
    want(seen.namespace === expect.namespace, `answered in ${seen.namespace}, wanted ${expect.namespace}`);
  const at = expect.requestAtBackend;
  const path = at?.path ?? request.path;
  // The mesh suite records paths that it does not compare.
  if (paths && path && seen.path !== undefined && !request.query && !seen.path.includes('grpc'))
    want(seen.path === path, `the backend saw ${seen.path}, wanted ${path}`);
  const host = at?.host;
  if (host) want(seen.host === host, `the backend saw host ${seen.host}, wanted ${host}`);
  for (const [name, value] of Object.entries(at?.headers ?? {}))
    want(
      sameValue(seen.headers?.[name.toLowerCase()], value),
      `the backend saw ${name}: ${seen.headers?.[name.toLowerCase()]}, wanted ${value}`,
    );
  for (const name of at?.absentHeaders ?? [])
    want(seen.headers?.[name.toLowerCase()] === undefined, `the backend saw ${name}`);
}

/** Lists of values with or without a space after the comma are one. */
function sameValue(found: string | string[] | undefined, wanted: string | string[]): boolean {
  const plain = (value: string) => value.split(/,\s*/).join(',');
  return found !== undefined && plain([found].flat().join(',')) === plain([wanted].flat().join(','));
}

function checkRedirect(
  answer: HttpAnswer,
  request: Request,
  wanted: NonNullable<Expect['redirect']>,
  scheme: string,
): void {
  const location = new URL(String(answer.headers.location ?? ''), `${scheme}://${request.host}`);
  const asked = new URL(`${scheme}://${request.host}`);
  const expected = {
    scheme: wanted.scheme || scheme,
    host: wanted.host || asked.hostname,
    port: wanted.port ?? '',
    path: wanted.path || request.path || '/',
  };
  const found = {
    scheme: location.protocol.slice(0, -1),
    host: location.hostname,
    port: location.port,
    path: location.pathname,
  };
  for (const part of ['scheme', 'host', 'port', 'path'] as const)
    want(found[part] === expected[part], `redirected to ${location.href}: ${part} wanted ${expected[part]}`);
}

async function meshCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  const { request = {}, expect } = wanted;
  const labels = Object.fromEntries(
    (wanted.from ?? '').split(',').map((pair) => pair.split('=') as [string, string]),
  );
  const port = await mesh.sidecar(wanted.fromNamespace ?? 'default', labels);
  let host = request.host ?? '';
  // The pod's recorded address is not an address here: where it listens is.
  if (/^\d+\.\d+\.\d+\.\d+:/.test(host)) {
    const pod = mesh.pods.find(({ name }) => name.startsWith(`${expect.backend}-`));
    host = `127.0.0.1:${pod?.ports[Number(host.split(':')[1])]}`;
  }
  if (request.protocol === 'grpc') {
    const answer = await sendGrpc(port, '/proto.EchoTestService/Echo', host, request.headers ?? {});
    want(answer.code === 0, `gRPC code ${answer.code} (status ${answer.status})`);
    return checkBackend(parse(answer.body), request, expect, false);
  }
  checkHttp(await sendHttp(port, { ...request, host }), { ...request, host }, expect, 'mesh');
}

async function grpcCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  const { request = {}, expect } = wanted;
  const port = await portOf(mesh, wanted);
  const method = request.method ?? 'Echo';
  const authority = request.authority || 'example.org';
  const call = sendGrpc(port, `/${request.service}/${method}`, authority, lowered(request.metadata));
  if (expect.connectionFailure) {
    const code = await call.then(
      (answer) => answer.code,
      () => -1,
    );
    return want(code !== 0, 'the call succeeded, wanted a failure');
  }
  const answer = await call;
  if (expect.grpcCode !== undefined)
    want(
      answer.code === expect.grpcCode,
      `gRPC code ${answer.code}, wanted ${expect.grpcCode} (${answer.body.slice(0, 200)})`,
    );
  if (expect.grpcCode !== 0) return;
  const seen = parse(answer.body);
  if (expect.backend)
    want(seen.pod.startsWith(expect.backend), `answered by ${seen.pod}, wanted ${expect.backend}`);
  for (const [name, value] of Object.entries(expect.requestAtBackend?.headers ?? {}))
    want(
      sameValue(seen.headers?.[name.toLowerCase()], value),
      `the backend saw ${name}: ${seen.headers?.[name.toLowerCase()]}, wanted ${value}`,
    );
  for (const name of expect.requestAtBackend?.absentHeaders ?? [])
    want(seen.headers?.[name.toLowerCase()] === undefined, `the backend saw ${name}`);
  // `responseMetadata` is not looked at: what is recorded there contradicts the test's own manifest, whose first rule takes every Echo.
}

function lowered(metadata: Record<string, string> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

async function tcpCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  const { request = {}, expect } = wanted;
  const tls = request.tls ? { serverName: request.serverName ?? '' } : undefined;
  const answer = await sendTcp(await portOf(mesh, wanted), 'hello', tls);
  if (expect.connectable) return;
  const seen = parse(answer);
  want(seen.message === 'hello', `the echo was ${seen.message}`);
  if (expect.backend)
    want(seen.pod.startsWith(expect.backend), `answered by ${seen.pod}, wanted ${expect.backend}`);
  if (expect.backendIsTLS !== undefined)
    want((seen.tls ?? false) === expect.backendIsTLS, `the backend ${seen.tls ? 'got' : 'did not get'} TLS`);
  if (expect.hostname && seen.tls)
    want(seen.sni === expect.hostname, `the backend saw server name ${seen.sni}`);
}

async function udpCase(mesh: SuiteMesh, wanted: SuiteCase): Promise<void> {
  const { expect } = wanted;
  const seen = parse(String(await sendUdp(await portOf(mesh, wanted), Buffer.from('hello'))));
  want(seen.message === 'hello', `the echo was ${seen.message}`);
  if (expect.service)
    want(seen.service === expect.service, `answered by ${seen.service}, wanted ${expect.service}`);
}

/** Shares of many requests like `like`, within the tolerance. */
export async function runDistribution(
  mesh: SuiteMesh,
  like: SuiteCase,
  { expect }: SuiteCase,
): Promise<void> {
  const counts = new Map<string, number>();
  const total = expect.requests ?? 500;
  const one = await senderOf(mesh, like);
  for (let sent = 0; sent < total; sent += 10)
    for (const pod of await Promise.all(Array.from({ length: 10 }, one)))
      counts.set(pod, (counts.get(pod) ?? 0) + 1);
  for (const [backend, share] of Object.entries(expect.weights ?? {})) {
    const got = [...counts]
      .filter(([pod]) => pod.startsWith(`${backend}-`))
      .reduce((sum, [, count]) => sum + count, 0);
    want(
      Math.abs(got / total - share) <= (expect.tolerance ?? 0.05),
      `${backend} got ${got} of ${total}, wanted ${share}`,
    );
  }
}

async function senderOf(mesh: SuiteMesh, like: SuiteCase): Promise<() => Promise<string>> {
  const { request = {} } = like;
  if (like.kind === 'mesh') {
    const labels = Object.fromEntries(
      (like.from ?? '').split(',').map((pair) => pair.split('=') as [string, string]),
    );
    const port = await mesh.sidecar(like.fromNamespace ?? 'default', labels);
    return async () =>
      parse((await sendGrpc(port, '/proto.EchoTestService/Echo', request.host ?? '', {})).body).pod;
  }
  const port = await portOf(mesh, like);
  if (like.kind === 'tcp') return async () => parse(await sendTcp(port, 'hello')).pod;
  if (like.kind === 'udp') return async () => parse(String(await sendUdp(port, Buffer.from('hello')))).pod;
  return async () =>
    parse((await sendHttp(port, { ...request, host: request.host || 'example.org' })).body).pod;
}
