import { originId } from '../../src/config/origin.ts';
import { verifySignature } from '../../src/kit/verify-signature.ts';
import type { Call, SimulationResult } from '../../src/simulate/call.ts';
import type { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import { isExpected, serverCall, upstream } from '../../src/simulate/upstream.ts';
import type { Echo } from './http-echo.ts';

/** A line of a proxy's access log about one request. */
export interface Logged {
  readonly status: string;
  readonly route: string;
  readonly cluster: string;
  /** `address:port`; '' where the request went nowhere. */
  readonly upstream: string;
  readonly details: string;
  readonly origin: string;
}

/** What real Envoys did with a request: the answer, and their own words. */
export interface Observed {
  /** 0: no answer, the connection was closed. */
  readonly status: number;
  readonly location: string;
  readonly grpcStatus: string;
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

export interface Situation {
  readonly resources: DecodedResources;
  readonly call: Call;
  /** Whose the proxy is that the call comes to. */
  readonly identity: string;
  readonly sidecars: ReadonlyMap<string, Sidecar>;
}

const options = () => ({ now: Date.now(), verify: verifySignature });

/** What the simulator and Envoy disagree on, in words. Weights are a lottery: it is enough that some destination is what was seen. */
export function differenceOf(situation: Situation, seen: Observed): string | undefined {
  const { resources, call } = situation;
  const walk = (destination: number) => {
    const asked = { ...call, destination };
    const result = simulate(resources, asked, options());
    // A certificate that nobody asks for is not shown.
    return result.error === 'invalid mTLS' && call.tls === 'mtls'
      ? { call: withoutCertificate(asked), result: simulate(resources, withoutCertificate(asked), options()) }
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
  const seesHttp = (one: Call) => simulate(resources, one, options()).routeConfig !== undefined;
  return seesHttp(call) || (call.tls === 'mtls' && seesHttp(withoutCertificate(call)));
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
    return (
      differs('status', expected.closed ? 0 : 200, seen.status) ??
      (seen.echo && differs('endpoint', true, expected.endpoints?.includes(`127.0.0.1:${seen.echo.port}`)))
    );
  if (!expected.forwarded) return ownAnswer(expected, seen);
  const chosen = seen.first?.upstream ?? '';
  const own =
    decisions('', expected, seen.first) ??
    differs('cluster', expected.cluster, seen.first?.cluster) ??
    differs(`endpoint ${chosen}`, true, expected.endpoints?.includes(chosen));
  if (own !== undefined) return own;
  const sidecar = situation.sidecars.get(chosen);
  return sidecar
    ? serverDifference(situation, call, expected, sidecar, seen)
    : (differs('status', 200, seen.status) ?? arrival(expected, seen));
}

/** The proxy that the call came to answered by itself. */
function ownAnswer(expected: SimulationResult, seen: Observed): string | undefined {
  if (expected.closed || (expected.status === undefined && expected.error !== undefined))
    return differs(`status (${expected.error ?? expected.details})`, 0, seen.status);
  return (
    differs('status', expected.status ?? 200, seen.status) ??
    decisions('', expected, seen.first) ??
    (expected.details?.includes('access_denied')
      ? differs('details', expected.details, seen.first?.details)
      : undefined) ??
    (expected.redirect && differs('location', expected.redirect.location, seen.location)) ??
    (expected.grpcStatus === undefined
      ? undefined
      : differs('gRPC status', String(expected.grpcStatus), seen.grpcStatus))
  );
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
  const connection = upstream(situation.resources, call, first, endpoint);
  if (!connection) return `there is no cluster ${first.cluster}`;
  if (connection.tls === 'mtls' && !isExpected(connection, identity))
    return differs('status (the server is somebody else)', 503, seen.status);
  const client = { identity: situation.identity, sourceAddress: '127.0.0.1' };
  const reached = serverCall(call, first, connection, endpoint, client, 'direct');
  const second = simulate(resources, reached, options());
  if (second.error !== undefined && second.status === undefined)
    return differs(`status (${second.error})`, 503, seen.status);
  const own =
    differs('status', second.status ?? 200, seen.status) ??
    decisions('server: ', second, seen.second) ??
    (second.grpcStatus === undefined
      ? undefined
      : differs('gRPC status', String(second.grpcStatus), seen.grpcStatus));
  if (own !== undefined) return own;
  if (second.forwarded)
    return differs('server: cluster', second.cluster, seen.second?.cluster) ?? arrival(second, seen);
  return second.details?.includes('access_denied')
    ? differs('server: details', second.details, seen.second?.details)
    : undefined;
}

/** Several lines of one header are as good as one with commas. */
const lines = (value: string | undefined) => value?.split(/ *, */);

/** Headers that configurations change. */
const watched = ['x-from', 'x-user', 'x-group', 'authorization', 'x-token'];

/** The request as it got to the application. */
function arrival({ forwarded, endpoints }: SimulationResult, { echo }: Observed): string | undefined {
  if (!forwarded) return undefined;
  return (
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
    differs('application', true, endpoints === undefined || endpoints.includes(`127.0.0.1:${echo?.port}`))
  );
}
