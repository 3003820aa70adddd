/**
 * Envoy's response flags: what each says of a request, and what mends it in general.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags
 */
export const responseFlags = {
  NR: {
    meaning: 'no route takes the request',
    mend: 'add a route that takes this host and path (VirtualService, HTTPRoute), or mend the condition that misses it',
  },
  NC: {
    meaning: 'the route names a destination that the proxy does not know',
    mend: 'define the service, or the subset in a DestinationRule that this proxy sees',
  },
  UH: {
    meaning: 'the destination has no endpoint that is ready',
    mend: 'start its workloads, or mend the labels by which the service or subset selects them (ostria ps; ostria proxy-config endpoint)',
  },
  UO: {
    meaning: 'too many connections or requests to the destination at a time: the circuit breaker is open',
    mend: 'raise trafficPolicy.connectionPool of the DestinationRule, or send less',
  },
  UT: {
    meaning: 'no answer from the destination within the timeout',
    mend: 'make the server faster, or raise the timeout of the route',
  },
  UF: {
    meaning: 'no connection to the destination comes about',
    mend: 'see that the server runs and listens on the port, and that both ends agree on TLS',
  },
  UC: {
    meaning: 'the destination closed the connection before it had answered',
    mend: 'see in the server’s log whether it crashed or closes idle connections; whether it takes mutual TLS that is not offered',
  },
  UR: {
    meaning: 'the destination reset the request',
    mend: 'look at the server’s log: it gave the request up',
  },
  UPE: {
    meaning: 'the destination answered in a way that is no HTTP',
    mend: 'name the port’s protocol (http2-…, tcp-…, appProtocol) as the server speaks it',
  },
  UMSDR: {
    meaning: 'the request was open for longer than the longest time of a stream',
    mend: 'raise the limit, or end the request earlier',
  },
  URX: {
    meaning: 'all retries failed',
    mend: 'mend the server; the retries are those of the route',
  },
  UAEX: {
    meaning: 'an external authorizer refused the call',
    mend: 'look at what the provider of the CUSTOM policy decides, and why',
  },
  FI: {
    meaning: 'a fault is injected on purpose: the call is aborted',
    mend: 'remove fault.abort from the route',
  },
  DI: {
    meaning: 'a fault is injected on purpose: the call is delayed',
    mend: 'remove fault.delay from the route',
  },
  RL: { meaning: 'a rate limit refuses the call', mend: 'raise the limit, or send less' },
  RLSE: {
    meaning: 'the rate limit service could not be asked',
    mend: 'see that the rate limit service runs',
  },
  DF: {
    meaning: 'DNS does not know the destination',
    mend: 'call a service of the mesh by its name, add a ServiceEntry for the host, or mend its spelling',
  },
  LR: { meaning: 'the proxy reset the request', mend: 'look at the details' },
  DC: {
    meaning: 'the client went away before the answer was there',
    mend: 'raise the client’s timeout, or make the server faster',
  },
  DPE: {
    meaning: 'the client sent what is no HTTP',
    mend: 'speak HTTP to this port, or name its protocol as clients speak it (tcp-…)',
  },
  SI: {
    meaning: 'the request was idle for too long',
    mend: 'send or answer earlier, or raise the idle timeout',
  },
  DT: {
    meaning: 'the connection reached its longest duration',
    mend: 'raise the duration, or reconnect',
  },
  OM: {
    meaning: 'the proxy is overloaded and refuses calls',
    mend: 'give it more memory, or send less',
  },
  DO: { meaning: 'the destination is overloaded: calls are dropped', mend: 'add endpoints, or send less' },
  IH: {
    meaning: 'a header has a value that is not allowed',
    mend: 'mend the header that the client sends',
  },
} as const satisfies Readonly<Record<string, { readonly meaning: string; readonly mend: string }>>;

export type FlagCode = keyof typeof responseFlags;

export function isFlag(code: string): code is FlagCode {
  return Object.hasOwn(responseFlags, code);
}
