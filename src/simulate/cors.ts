import type { Any } from '@bufbuild/protobuf/wkt';
import { CorsPolicySchema } from '../../gen/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import type { Call } from './call.ts';
import { unpack } from './decoded-resources.ts';
import { stringMatches } from './match-text.ts';

/** A browser's question before the request proper. */
export function isPreflight({ method, headers = {} }: Call): boolean {
  return (
    method === 'OPTIONS' &&
    (headers.origin ?? '') !== '' &&
    (headers['access-control-request-method'] ?? '') !== ''
  );
}

/** Whether a route's policy answers a preflight itself, and whether it says yes; undefined: the request goes on. */
export function preflightAnswer(config: Any | undefined, call: Call): { allowed: boolean } | undefined {
  const policy = unpack(config, CorsPolicySchema);
  if (!policy || !isPreflight(call) || policy.filterEnabled?.defaultValue?.numerator === 0) return undefined;
  const origin = call.headers?.origin ?? '';
  const allowed = policy.allowOriginStringMatch.some((matcher) => stringMatches(matcher, origin));
  if (!allowed && (policy.forwardNotMatchingPreflights ?? true)) return undefined;
  return { allowed };
}
