import type { Any } from '@bufbuild/protobuf/wkt';
import type { VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { type Origin, parseOriginId } from '../config/origin.ts';
import { hashBytes, hashText } from '../kit/hash.ts';
import type { Call, Decision, SimulationError, SimulationOptions, SimulationResult, Step } from './call.ts';
import type { DecodedResources } from './decoded-resources.ts';

/** Metadata namespace and key under which emitters stamp origins. */
const originNamespace = 'ostria';
const originKey = 'origin';

/** A call on its way: what it became, and what was decided so far. */
export interface Walk {
  call: Call;
  readonly options: SimulationOptions;
  readonly resources: DecodedResources;
  readonly result: Omit<SimulationResult, 'steps' | 'assumed' | 'unforeseen'> & {
    steps: Step[];
    assumed?: string[];
    unforeseen?: string[];
  };
  /** Of requests: what is taken for the client's address. */
  client?: string;
  /** A filter changed what routes look at. */
  routeIsStale?: boolean;
  /** What filters left for those behind them, by filter. */
  readonly metadata: Record<string, Record<string, unknown>>;
}

export function fail(walk: Walk, error: SimulationError): SimulationResult {
  walk.result.error = error;
  return walk.result;
}

type Metadata = { filterMetadata: { readonly [key: string]: unknown } } | undefined;

export function originIn(metadata: Metadata): Origin | undefined {
  const fields = metadata?.filterMetadata[originNamespace] as Record<string, unknown> | undefined;
  const id = fields?.[originKey];
  return typeof id === 'string' ? parseOriginId(id) : undefined;
}

/** Where a host's origin stands: a last route that takes everything and was made by the same speaks for its host too. */
export function hostMetadata({ metadata, routes }: VirtualHost): Metadata {
  return metadata ?? routes.at(-1)?.metadata;
}

export function step(
  walk: Walk,
  stage: Step['stage'],
  name: string,
  metadata: Metadata,
  alternatives?: Step['alternatives'],
): void {
  const origin = originIn(metadata);
  walk.result.steps.push({
    stage,
    name,
    ...(origin ? { origin } : {}),
    ...(alternatives ? { alternatives } : {}),
  });
}

export function decide(
  walk: Walk,
  stage: Step['stage'],
  name: string,
  decision: Decision,
  origin?: Origin,
  alternatives?: Step['alternatives'],
): void {
  walk.result.steps.push({
    stage,
    name,
    ...(origin ? { origin } : {}),
    decision,
    ...(alternatives ? { alternatives } : {}),
  });
}

export function assume(walk: Walk, what: string): void {
  walk.result.assumed ??= [];
  if (!walk.result.assumed.includes(what)) walk.result.assumed.push(what);
}

/** A filter is passed whose effect is not known. `settings`: what it is told, by its own configuration and the route's. */
export function passUnforeseen(
  walk: Walk,
  name: string,
  settings: readonly (Any | string | undefined)[],
): void {
  const told = settings.flatMap((one) => (typeof one === 'object' ? hashBytes(one.value) : (one ?? [])));
  walk.result.unforeseen ??= [];
  walk.result.unforeseen.push(`${name} (${hashText(told.join(' ')).slice(0, 6)})`);
}

/** gRPC codes of HTTP statuses. @see https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const grpcCodes: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const unknownCode = 2;

/** An answer that the proxy gives itself: gRPC clients get a status of theirs. */
export function answer(walk: Walk, status: number, details?: string): SimulationResult {
  if (details !== undefined) walk.result.details = details;
  Object.assign(walk.result, answered(walk.call, status));
  return walk.result;
}

/** A status as the client that makes the call gets it from a proxy. */
export function answered(
  { headers = {} }: Call,
  status: number,
): Pick<SimulationResult, 'status' | 'grpcStatus' | 'httpStatus'> {
  const type = headers['content-type'] ?? '';
  if (type !== 'application/grpc' && !type.startsWith('application/grpc+')) return { status };
  return { status: 200, grpcStatus: grpcCodes[status] ?? unknownCode, httpStatus: status };
}
