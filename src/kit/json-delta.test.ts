import { expect, test } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import { applyDelta, diffJson, formatJsonPath } from './json-delta.ts';

const asText = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('the steps from one value to another lead there, also through their text, and are none only for equal ones', () => {
  // As JSON's text has it: there is one zero.
  const small = fc.jsonValue({ maxDepth: 4, noUnicodeString: true }).map(asText);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.tuple(small, small),
        small.map((one) => [one, structuredClone(one)]),
      ),
      ([a, b]) => {
        const before = JSON.stringify(a);
        const delta = diffJson(a, b);
        const read = JSON.parse(JSON.stringify(delta));
        expect(JSON.stringify(applyDelta(a, read))).toEqual(JSON.stringify(applyDelta(a, delta)));
        expect(applyDelta(a, read)).toEqual(JSON.parse(JSON.stringify(b)));
        expect(JSON.stringify(a)).toBe(before);
        if (delta.length === 0) expect(a).toEqual(b);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('an edit of a field is one short step, and so is an element that comes or goes', () => {
  const spec = { http: [{ weight: 1 }, { weight: 2 }, { weight: 3 }] };
  expect(diffJson({ spec }, { spec: { http: spec.http.with(1, { weight: 5 }) } })).toEqual([
    [['spec', 'http', 1, 'weight'], 5],
  ]);
  expect(diffJson({ spec }, { spec: { http: spec.http.toSpliced(1, 1) } })).toEqual([
    [['spec', 'http'], 1, 1, []],
  ]);
  expect(diffJson({ spec, x: 1 }, { spec })).toEqual([[['x']]]);
  expect(diffJson(spec, structuredClone(spec))).toEqual([]);
});

test('what does not fit is an error, and names of fields are never taken for anything else', () => {
  expect(() => applyDelta({}, [[['a', 'b'], 1]])).toThrow('does not fit');
  expect(() => applyDelta([], [[[3], 1]])).toThrow('does not fit');
  const odd = JSON.parse('{"__proto__": {"polluted": true}}');
  expect(Object.keys(applyDelta({}, diffJson({}, odd)) as object)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('paths are written as in messages', () => {
  expect(formatJsonPath(['spec', 'http', 0, 'match'])).toBe('spec.http[0].match');
  expect(formatJsonPath(['metadata', 'labels', 'a.b/c'])).toBe('metadata.labels["a.b/c"]');
});
