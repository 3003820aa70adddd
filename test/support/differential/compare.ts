import { originId } from '../../../src/config/origin.ts';
import { verifySignature } from '../../../src/kit/verify-signature.ts';
import type { Call, SimulationResult } from '../../../src/simulate/call.ts';
import type { DecodedResources } from '../../../src/simulate/decoded-resources.ts';
import { asLazy } from '../../../src/simulate/lazy-host.ts';
import { simulate } from '../../../src/simulate/simulate.ts';
import { isExpected, serverCall, statusOfPlaintext, upstream } from '../../../src/simulate/upstream.ts';
import { answered } from '../../../src/simulate/walk.ts';
import type { Echo } from '../http-echo.ts';
import { verdictsOn } from './authorizers-arbitrary.ts';

/** A line of a proxy's access log about one request. */
export interface Logged {
  readonly status: string;
  readonly route: string;
  readonly cluster: string;
  /** `address:port`; '' where the request went nowhere. */
  readonly upstream: string;
  /** Of the connection there. */
  readonly upstreamLocalPort: string;
  readonly details: string;
  readonly origin: string;
}

/** What real Envoys did with a request: the answer, and their own words. */
export interface Observed {
  /** 0: no answer, the connection was closed. */
  readonly status: number;
  readonly location: string;
  readonly grpcStatus: string;
  /** To a browser: the origin that may read the answer. */
  readonly allowOrigin: string;
  readonly echo: (Echo & { port: number }) | undefined;
  /** Of the proxy that the request came to. */
  readonly first: Logged | undefined;
  /** Of the server's own proxy, where the request got to one. */
  readonly second: Logged | undefined;
}

/** A server with a sidecar, by the port where it listens. */
export interface Sidecar {
  readonly resources: DecodedResources;
  readonly identity: string;
}

/** What the test's applications without a proxy speak, by port. */
export type Applications = ReadonlyMap<number, 'http' | 'https' | 'bytes'>;

export interface Situation {
  readonly resources: DecodedResources;
  readonly call: Call;
  /** The proxy loads what it needs; `resources` are those of one that has it all. */
  readonly isLazy: boolean;
  /** Whose the proxy is that the call comes to. */
  readonly identity: string;
  /** Whence that proxy calls. */
  readonly sourceAddress: string;
  readonly sidecars: ReadonlyMap<string, Sidecar>;
  /** `address:port` where nobody listens. */
  readonly dead: string;
  /** By port. What is elsewhere on this machine is nobody's business. */
  readonly applications: Applications;
}

const options = ({ method = '' }: Call) => ({
  now: Date.now(),
  verify: verifySignature,
  verdicts: verdictsOn({ method }),
});

/** What the simulator and Envoy disagree on, in words. Weights are a lottery: it is enough that some destination is what was seen. */
export function differenceOf(situation: Situation, seen: Observed): string | undefined {
  const { resources, call } = situation;
  const walk = (destination: number) => {
    const asked = { ...call, destination };
    const whole = simulate(resources, asked, options(asked));
    const result = situation.isLazy ? asLazy(whole, asked) : whole;
    // A certificate that nobody asks for is not shown.
    return result.error === 'invalid mTLS' && call.tls === 'mtls'
      ? {
          call: withoutCertificate(asked),
          result: simulate(resources, withoutCertificate(asked), options(asked)),
        }
      : { call: asked, result };
  };
  const first = walk(0);
  let why = difference(situation, first.call, first.result, seen);
  const others = (first.result.weightedClusters ?? []).filter(({ weight }) => weight > 0).length;
  for (let destination = 1; why !== undefined && destination < others; destination++) {
    const other = walk(destination);
    const also = difference(situation, other.call, other.result, seen);
    if (also === undefined) return undefined;
    why = `${why}; or ${also}`;
  }
  return why;
}

function withoutCertificate({ identity: _, ...call }: Call): Call {
  return { ...call, tls: 'tls' };
}

/** Whether the proxy logs the request by its number: it sees HTTP. */
export function isLogged({ resources, call }: Situation): boolean {
  const seesHttp = (one: Call) => simulate(resources, one, options(one)).routeConfig !== undefined;
  return seesHttp(call) || (call.tls === 'mtls' && seesHttp(withoutCertificate(call)));
}

export const portOf = (socket: string): number => Number(socket.slice(socket.lastIndexOf(':') + 1));

const named = /[a-z]/;

/** Whether a call may have gone to an endpoint. Names, and none at all, stand for whatever is found by them; `''`: nothing was found. */
function isOneOf(endpoints: readonly string[] | undefined, chosen: string): boolean {
  if (!endpoints || endpoints.includes(chosen)) return true;
  return endpoints.some((one) => named.test(one) && (chosen === '' || portOf(one) === portOf(chosen)));
}

const differs = (what: string, simulated: unknown, real: unknown): string | undefined =>
  simulated === real ? undefined : `${what}: simulated ${simulated}, real ${real}`;

function difference(
  situation: Situation,
  call: Call,
  expected: SimulationResult,
  seen: Observed,
): string | undefined {
  const opaque = expected.routeConfig === undefined && expected.cluster !== undefined;
  if (opaque)
    return call.protocol === 'tcp'
      ? connectionDifference(situation, call, expected, seen)
      : throughDifference(situation, expected, seen);
  if (!expected.forwarded) return ownAnswer(call, expected, seen);
  const chosen = seen.first?.upstream ?? '';
  const own =
    decisions('', expected, seen.first) ??
    differs('cluster', expected.cluster, seen.first?.cluster) ??
    differs(`endpoint ${chosen}`, true, isOneOf(expected.endpoints, chosen));
  if (own !== undefined) return own;
  if (chosen === '') return answerDiffers('status (no address)', call, 503, seen);
  if (chosen === situation.dead) return deadEnd(call, expected, seen);
  const sidecar = situation.sidecars.get(chosen);
  if (!sidecar && !isAnswered(situation, call, expected, chosen)) return undefined;
  return sidecar
    ? serverDifference(situation, call, expected, sidecar, seen)
    : (differs('status', 200, seen.status) ?? arrival(situation.resources, call, expected, chosen, seen));
}

/** Whether an application of this test is there, which understands what it gets. */
function isAnswered(
  { applications, resources }: Situation,
  call: Call,
  expected: SimulationResult,
  chosen: string,
): boolean {
  const spoken = applications.get(portOf(chosen));
  const isTls = upstream(resources, call, expected, chosen)?.tls !== 'plaintext';
  return spoken === (isTls ? 'https' : 'http');
}

/** HTTP that goes on as bytes: nobody logs a request. */
function throughDifference(
  { applications }: Situation,
  { closed, endpoints }: SimulationResult,
  seen: Observed,
): string | undefined {
  if (closed) return differs('status', 0, seen.status);
  // Nobody of this test is there, or it speaks something else.
  const spoken = new Set(endpoints?.map((one) => applications.get(portOf(one))));
  if (!spoken.has('http') || spoken.size > 1) return undefined;
  return (
    differs('status', 200, seen.status) ??
    differs(
      'application',
      true,
      endpoints?.some((one) => portOf(one) === seen.echo?.port),
    )
  );
}

/** A request that ended where nobody listens: it is sent again while there is somebody else and the route says so. */
function deadEnd(
  call: Call,
  { retries, endpoints = [] }: SimulationResult,
  seen: Observed,
): string | undefined {
  const isRetried = endpoints.length > 1 && retries?.on.includes('connect-failure') === true;
  return isRetried
    ? `status: simulated another attempt where somebody listens, real ${seen.status}`
    : answerDiffers('status (nobody listens)', call, 503, seen);
}

/** An answer that a proxy gives a call for want of another. */
function answerDiffers(what: string, call: Call, status: number, seen: Observed): string | undefined {
  const expected = answered(call, status);
  return (
    differs(what, expected.status, seen.status) ??
    (expected.grpcStatus === undefined
      ? undefined
      : differs('gRPC status', String(expected.grpcStatus), seen.grpcStatus))
  );
}

/** Of bytes nobody sees more than where they go, and that a policy closes the connection. */
function connectionDifference(
  situation: Situation,
  call: Call,
  expected: SimulationResult,
  seen: Observed,
): string | undefined {
  if (expected.closed)
    return (
      differs('status', 0, seen.status) ?? differs('details', expected.details ?? '', refusalIn(seen.first))
    );
  const chosen = seen.first?.upstream ?? '';
  const own =
    differs('cluster', expected.cluster, seen.first?.cluster) ??
    differs(`endpoint ${chosen}`, true, isOneOf(expected.endpoints, chosen));
  if (own !== undefined) return own;
  if (chosen === '') return differs('status (no address)', 0, seen.status);
  if (chosen === situation.dead) return differs('status (nobody listens)', 0, seen.status);
  const answerer = `127.0.0.1:${seen.echo?.port}`;
  const sidecar = situation.sidecars.get(chosen);
  if (!sidecar && situation.applications.get(portOf(chosen)) !== 'bytes') return undefined;
  if (!sidecar)
    return differs('status', 200, seen.status) ?? differs('application', portOf(chosen), seen.echo?.port);
  const reached = behind(situation, call, expected, sidecar.identity, chosen);
  if (typeof reached === 'string') return differs(`status (${reached})`, 0, seen.status);
  const second = simulate(sidecar.resources, reached, options(reached));
  if (second.error !== undefined || second.closed)
    return (
      differs(`status (${second.error ?? 'closed'})`, 0, seen.status) ??
      differs('server: details', second.details ?? '', refusalIn(seen.second))
    );
  return (
    differs('status', 200, seen.status) ??
    differs('server: cluster', second.cluster, seen.second?.cluster) ??
    differs('application', true, second.endpoints?.includes(answerer))
  );
}

const refusalIn = (line: Logged | undefined) => (line?.details.startsWith('rbac_') ? line.details : '');

/** The call as it gets to a server's own proxy, or why it does not. */
function behind(
  situation: Situation,
  call: Call,
  first: SimulationResult,
  identity: string,
  endpoint: string,
): Call | string {
  const connection = upstream(situation.resources, call, first, endpoint);
  if (!connection) return `there is no cluster ${first.cluster}`;
  if (connection.tls === 'mtls' && !isExpected(connection, identity)) return 'the server is somebody else';
  const { identity: own, sourceAddress } = situation;
  const client = { identity: own, sourceAddress };
  return serverCall(call, first, connection, endpoint, client, 'direct');
}

/** The proxy that the call came to answered by itself. */
function ownAnswer(call: Call, expected: SimulationResult, seen: Observed): string | undefined {
  // What is no HTTP is told so in HTTP.
  if (call.protocol === 'tcp' && call.tls === 'plaintext' && expected.error === 'protocol error')
    return differs('status (protocol error)', 400, seen.status);
  if (expected.closed || (expected.status === undefined && expected.error !== undefined))
    return differs(`status (${expected.error ?? expected.details})`, 0, seen.status);
  return (
    differs('status', expected.status ?? 200, seen.status) ??
    differs('answered by the application', false, seen.echo !== undefined) ??
    decisions('', expected, seen.first) ??
    (isRefusal(expected.details) ? differs('details', expected.details, seen.first?.details) : undefined) ??
    preflightDiffers(call, expected, seen) ??
    (expected.redirect && differs('location', expected.redirect.location, seen.location)) ??
    (expected.grpcStatus === undefined
      ? undefined
      : differs('gRPC status', String(expected.grpcStatus), seen.grpcStatus))
  );
}

/** A browser's question that the proxy answers: whether the origin is told that it may. */
function preflightDiffers({ headers = {} }: Call, { steps }: SimulationResult, seen: Observed) {
  const why = steps.find(({ stage }) => stage === 'cors')?.decision?.why;
  if (why === undefined) return undefined;
  return differs('allowed origin', why === 'the origin is allowed' ? headers.origin : '', seen.allowOrigin);
}

/** Route and its reason. */
function decisions(side: string, expected: SimulationResult, seen: Logged | undefined): string | undefined {
  const step = expected.steps.findLast(({ stage }) => stage === 'route');
  return (
    differs(`${side}route`, expected.route ?? '', seen?.route ?? '') ??
    differs(`${side}origin`, step?.origin ? originId(step.origin) : '', seen?.origin ?? '')
  );
}

function serverDifference(
  situation: Situation,
  call: Call,
  first: SimulationResult,
  { resources, identity }: Sidecar,
  seen: Observed,
): string | undefined {
  const endpoint = seen.first?.upstream ?? '';
  const reached = behind(situation, call, first, identity, endpoint);
  if (typeof reached === 'string') return answerDiffers(`status (${reached})`, call, 503, seen);
  const second = simulate(resources, reached, options(reached));
  if (second.error !== undefined && second.status === undefined) {
    const status = second.error === 'invalid TLS' ? statusOfPlaintext(reached, call) : 503;
    return answerDiffers(`status (${second.error})`, call, status, seen);
  }
  const own =
    differs('status', second.status ?? 200, seen.status) ??
    decisions('server: ', second, seen.second) ??
    (second.grpcStatus === undefined
      ? undefined
      : differs('gRPC status', String(second.grpcStatus), seen.grpcStatus));
  if (own !== undefined) return own;
  if (second.forwarded)
    return (
      differs('server: cluster', second.cluster, seen.second?.cluster) ??
      arrival(resources, reached, second, seen.second?.upstream ?? '', seen)
    );
  return isRefusal(second.details)
    ? differs('server: details', second.details, seen.second?.details)
    : undefined;
}

/** Several lines of one header are as good as one with commas. */
const lines = (value: string | undefined) => value?.split(/ *, */);

/** Headers that configurations change. */
const watched = ['x-from', 'x-user', 'x-group', 'authorization', 'x-token'];

/** The request as it got to the application. */
function arrival(
  resources: DecodedResources,
  call: Call,
  result: SimulationResult,
  endpoint: string,
  { echo }: Observed,
): string | undefined {
  const { forwarded, endpoints } = result;
  if (!forwarded) return undefined;
  const spoken = upstream(resources, call, result, endpoint)?.protocol === 'http2' ? '2.0' : '1.1';
  return (
    differs('protocol at the destination', spoken, echo?.httpVersion) ??
    differs('host at the destination', forwarded.authority, echo?.host) ??
    differs('path at the destination', forwarded.path, echo?.path) ??
    watched
      .map((name) =>
        differs(
          `${name} at the destination`,
          lines(forwarded.headers[name])?.join(),
          lines(echo?.headers[name])?.join(),
        ),
      )
      .find((why) => why !== undefined) ??
    differs(
      'application',
      true,
      endpoints === undefined || endpoints.some((one) => portOf(one) === echo?.port),
    )
  );
}

/** Details of refusals by policies and by authorizers, which simulations word as Envoy does. */
const isRefusal = (details = ''): boolean =>
  details.includes('access_denied') || details === 'ext_authz_denied';
