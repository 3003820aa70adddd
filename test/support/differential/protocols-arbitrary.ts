import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import type { TrafficRequest } from '../traffic-arbitrary.ts';

/*
 * What speaks HTTP/2: clients, ports, and connections between proxies. Drawn over what traffic-arbitrary.ts made, whose own draws stay as
 * they are.
 */

interface Port {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** Ports of services whose name says `http` and which are something else. */
function spoken(random: Random, object: ConfigObject): ConfigObject {
  const { kind } = object;
  const spec = object.spec as { readonly ports: readonly Port[] };
  const { ports } = spec;
  const changed = ports.map((port) => {
    if (!port.name.startsWith('http') || random.chance(0.7)) return port;
    if (kind === 'Service')
      return { ...port, appProtocol: random.pick(['http2', 'grpc', 'kubernetes.io/h2c', 'grpc-web']) };
    const { protocol: _, ...without } = port;
    return random.pick([{ ...port, protocol: 'HTTP2' }, { ...port, protocol: 'GRPC' }, without]);
  });
  return { ...object, spec: { ...spec, ports: changed } };
}

const connections = [
  { h2UpgradePolicy: 'UPGRADE' },
  { h2UpgradePolicy: 'DO_NOT_UPGRADE' },
  { useClientProtocol: true },
];

function pooled(random: Random, object: ConfigObject): ConfigObject {
  if (random.chance(0.7)) return object;
  const { trafficPolicy = {}, ...spec } = object.spec as { trafficPolicy?: object };
  const connectionPool = { http: random.pick(connections) };
  return { ...object, spec: { ...spec, trafficPolicy: { ...trafficPolicy, connectionPool } } };
}

/** The configuration with other protocols. */
export function withProtocols(random: Random, config: readonly ConfigObject[]): ConfigObject[] {
  return config.map((object) => {
    if (object.kind === 'Service' || object.kind === 'ServiceEntry') return spoken(random, object);
    return object.kind === 'DestinationRule' ? pooled(random, object) : object;
  });
}

/** The request as a client of HTTP/2 makes it, mostly one of gRPC. */
export function withHttp2(random: Random, request: TrafficRequest): TrafficRequest {
  const isGrpc = request.headers['content-type'] === 'application/grpc';
  return random.chance(isGrpc ? 0.7 : 0.15) ? { ...request, speaks: 'http2' } : request;
}
