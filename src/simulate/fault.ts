import type { Any } from '@bufbuild/protobuf/wkt';
import { HTTPFaultSchema } from '../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import type { FractionalPercent } from '../../gen/proto/envoy/type/v3/percent_pb.js';
import type { Call, SimulationResult } from './call.ts';
import { callHeaders } from './call-headers.ts';
import { unpack } from './decoded-resources.ts';
import { headerMatches } from './match-text.ts';

const denominators = [100, 10_000, 1_000_000];

/** What a fault does to a request, with its share of requests in percent; undefined: nothing. */
export function faultFor(config: Any | undefined, call: Call): SimulationResult['fault'] {
  const fault = unpack(config, HTTPFaultSchema);
  if (!fault) return undefined;
  const headers = callHeaders(call);
  if (!fault.headers.every((matcher) => headerMatches(matcher, headers[matcher.name.toLowerCase()])))
    return undefined;
  const { errorType, percentage } = fault.abort ?? {};
  const status =
    errorType?.case === 'httpStatus' ? errorType.value : errorType?.case === 'grpcStatus' ? 200 : 0;
  const grpcStatus = errorType?.case === 'grpcStatus' ? { grpcStatus: errorType.value } : {};
  const aborted = percent(percentage);
  const { faultDelaySecifier: delay } = fault.delay ?? {};
  const delayed = percent(fault.delay?.percentage);
  const found = {
    ...(status > 0 && aborted > 0 ? { abort: { status, ...grpcStatus, percent: aborted } } : {}),
    ...(delay?.case === 'fixedDelay' && delayed > 0
      ? {
          delay: {
            milliseconds: Number(delay.value.seconds) * 1000 + delay.value.nanos / 1e6,
            percent: delayed,
          },
        }
      : {}),
  };
  return Object.keys(found).length > 0 ? found : undefined;
}

function percent(share: FractionalPercent | undefined): number {
  return share ? (share.numerator * 100) / (denominators[share.denominator] ?? 100) : 0;
}
