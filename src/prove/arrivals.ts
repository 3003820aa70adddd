import { httpAlpn, meshAlpn } from '../envoy/tls.ts';
import type { Model } from '../model/model.ts';
import type { Conditions } from '../request-space/conditions.ts';
import { authorityValues } from '../request-space/dimensions.ts';
import { arriveAt } from '../request-space/journey.ts';
import { outcomeOf, type RequestOutcome } from '../request-space/outcome.ts';
import { requestSpace, type Variant } from '../request-space/space.ts';
import { inboundConditions } from '../request-space/surroundings.ts';
import { type TextCondition, textCondition } from '../request-space/text-condition.ts';
import type { Call } from '../simulate/call.ts';
import type { Caller } from './callers.ts';
import type { Claim } from './claim.ts';
import type { Server } from './servers.ts';

/** A request as it arrives at a server's proxy. */
export interface Arrival {
  readonly variant: Variant;
  readonly call: Call;
}

/** Everything that the server's proxy asks of what comes in at a port. */
export function conditionsAt(model: Model, server: Server): Conditions {
  const { proxy } = server.at;
  return inboundConditions(proxy && model.resources(proxy), server.port, proxy?.explicit !== undefined);
}

/** One request for each kind that the proxy can tell apart, of those that the claim is about. */
export function arrivalsAt(
  conditions: Conditions,
  server: Server,
  caller: Caller,
  claim: Claim,
): { readonly arrivals: Iterable<Arrival>; readonly cuts: ReadonlySet<string> } {
  const beyond = claim.path ? withCondition(conditions, claim.path) : conditions;
  const { variants, cuts } = requestSpace({
    hosts: [],
    beyond,
    ...(caller.kind === 'plaintext' ? { outside: caller.address } : {}),
  });
  const authorities = authorityValues(conditions.authorities.values(), [server.hostname]);
  if (authorities.cut) cuts.add('there are too many kinds of hosts');
  return { arrivals: combine(variants, authorities.values, server, caller, claim), cuts };
}

/** The path of the claim becomes a condition, so that the paths that meet it are enumerated. */
function withCondition(conditions: Conditions, { text, prefix }: NonNullable<Claim['path']>): Conditions {
  const own = textCondition({ case: prefix ? 'prefix' : 'exact', value: text }, false) as TextCondition;
  const extended = Object.assign(Object.create(Object.getPrototypeOf(conditions)) as Conditions, conditions);
  return Object.assign(extended, { paths: new Map([...conditions.paths, [own.key, own]]) });
}

function* combine(
  variants: Iterable<Variant>,
  authorities: readonly string[],
  server: Server,
  caller: Caller,
  claim: Claim,
): Generator<Arrival> {
  let first: string | undefined;
  for (const variant of variants) {
    first ??= variant.method;
    // The methods of the claim stand in for those that conditions tell apart.
    if (claim.methods && variant.method !== first) continue;
    const [path = ''] = variant.path.split('?');
    if (claim.path && !(claim.path.prefix ? path.startsWith(claim.path.text) : path === claim.path.text))
      continue;
    for (const method of claim.methods ?? [variant.method])
      for (const host of authorities)
        for (const call of connections(server, caller)) {
          const sent = { ...variant, method };
          yield {
            variant: sent,
            call: {
              ...call,
              host,
              path: variant.path,
              method,
              headers: variant.headers,
              ...(variant.claims ? { claims: variant.claims } : {}),
              ...(variant.address === undefined ? {} : { sourceAddress: variant.address }),
            },
          };
        }
  }
}

/** What sidecars offer, what browsers do, and nothing. */
const offered = [[meshAlpn], [meshAlpn, httpAlpn], ['h2', 'http/1.1'], []];

/** The ways in which a caller's connection may be made. */
function* connections(server: Server, caller: Caller): Generator<Call> {
  const { explicit } = server.at.proxy ?? {};
  const base: Call = {
    address: explicit ? '127.0.0.1' : (server.at.workload.addresses[0] ?? ''),
    port: server.port,
    mode: explicit ? 'direct' : 'inbound',
    protocol: 'http',
    tls: 'plaintext',
    sourceAddress: caller.address,
  };
  const sni = `outbound_.${server.servicePort}_._.${server.hostname}`;
  if (caller.identity === undefined) {
    yield base;
    yield { ...base, protocol: 'http2' };
    // TLS of the application's own, which the proxy may hand on as it is.
    yield { ...base, tls: 'tls', sni: server.hostname, alpn: ['h2', 'http/1.1'] };
    return;
  }
  for (const alpn of offered)
    for (const protocol of ['http', 'http2'] as const)
      yield { ...base, protocol, tls: 'mtls', identity: caller.identity, sni, alpn };
}

/** What becomes of it; undefined: the server has no proxy. */
export function outcomeOfArrival(
  model: Model,
  { at }: Server,
  { call }: Arrival,
): RequestOutcome | undefined {
  const { proxy } = at;
  return proxy && outcomeOf(model, arriveAt(model, { ...at, proxy }, call));
}
