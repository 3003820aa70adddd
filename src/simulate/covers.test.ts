import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  type RouteMatch,
  RouteMatchSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { fc } from '../../test/support/properties.ts';
import type { Call } from './call.ts';
import { covers } from './covers.ts';
import { routeMatches } from './route.ts';
import { firstFailure } from './why.ts';

type Init = MessageInitShape<typeof RouteMatchSchema>;

const texts = ['/', '/a', '/a/', '/a/b', '/A/b', '/ab', '/b'];
const text = fc.constantFrom(...texts);
const path = fc.oneof(
  text.map((value) => ({ case: 'prefix' as const, value })),
  text.map((value) => ({ case: 'path' as const, value })),
  fc.constantFrom('/a', '/a/b', '/b').map((value) => ({ case: 'pathSeparatedPrefix' as const, value })),
  fc
    .constantFrom('.*', '/.*', '/a.*', '/[ab]')
    .map((regex) => ({ case: 'safeRegex' as const, value: { regex } })),
);
const pattern = fc.oneof(
  fc.constantFrom('ann', 'a', '').map((value) => ({ case: 'exact' as const, value })),
  fc.constantFrom('a', 'an').map((value) => ({ case: 'prefix' as const, value })),
  fc.constantFrom('n', 'nn').map((value) => ({ case: 'suffix' as const, value })),
  fc.constantFrom('.*', 'a.*').map((regex) => ({ case: 'safeRegex' as const, value: { regex } })),
);
const stringMatch = fc
  .record({ matchPattern: pattern, ignoreCase: fc.boolean() })
  .map((value) => ({ case: 'stringMatch' as const, value }));
const present = fc.boolean().map((value) => ({ case: 'presentMatch' as const, value }));
const header = fc.record({
  name: fc.constantFrom('x-user', ':method'),
  headerMatchSpecifier: fc.oneof(stringMatch, present),
  invertMatch: fc.boolean(),
  treatMissingHeaderAsEmpty: fc.boolean(),
});
const query = fc.record({
  name: fc.constant('v'),
  queryParameterMatchSpecifier: fc.oneof(stringMatch, present),
});
const match: fc.Arbitrary<RouteMatch> = fc
  .record({
    pathSpecifier: path,
    caseSensitive: fc.option(fc.constant(false), { nil: undefined }),
    headers: fc.array(header, { maxLength: 2 }),
    queryParameters: fc.array(query, { maxLength: 1 }),
  })
  .map(({ caseSensitive, ...rest }) =>
    create(RouteMatchSchema, { ...rest, ...(caseSensitive === false ? { caseSensitive } : {}) } as Init),
  );
const call: fc.Arbitrary<Call> = fc
  .record({
    path: fc.tuple(text, fc.constantFrom('', '?v', '?v=a', '?v=ann')).map((parts) => parts.join('')),
    user: fc.constantFrom(undefined, '', 'a', 'ann', 'ANN'),
    method: fc.constantFrom('GET', 'ann'),
  })
  .map(({ user, ...rest }) => ({
    address: '10.0.0.1',
    port: 80,
    mode: 'direct' as const,
    protocol: 'http' as const,
    tls: 'plaintext' as const,
    headers: user === undefined ? {} : { 'x-user': user },
    ...rest,
  }));

test('what is said to be covered never matches alone', () => {
  let covered = 0;
  fc.assert(
    fc.property(match, match, fc.array(call, { minLength: 20, maxLength: 20 }), (outer, inner, calls) => {
      if (!covers(outer, inner)) return;
      covered++;
      for (const one of calls)
        if (routeMatches(inner, one, {})) expect(routeMatches(outer, one, {})).toBe(true);
    }),
    { numRuns: 5_000 },
  );
  expect(covered).toBeGreaterThan(100);
});

test('a route that does not match says why, one that matches does not', () => {
  fc.assert(
    fc.property(match, call, (one, asked) => {
      expect(firstFailure(one, asked) === undefined).toBe(routeMatches(one, asked, {}));
    }),
  );
});
