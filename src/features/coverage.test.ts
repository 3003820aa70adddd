import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { crds } from '../../gen/crd/index.js';
import { uncoveredFields, uncoveredUses } from './coverage.ts';

const object = (kind: string, spec: unknown) => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name: 'x', namespace: 'default' },
  spec,
});

test('names each use with its place and what happens instead', () => {
  const uses = uncoveredUses(
    object('VirtualService', {
      http: [
        { route: [] },
        { fault: { abort: { http2Error: 'x' } } },
        { fault: { delay: { exponentialDelay: '1s' } } },
      ],
    }),
  );
  expect(uses).toEqual([
    { path: 'spec.http[1].fault.abort.http2Error', instead: 'no request is aborted' },
    { path: 'spec.http[2].fault.delay.exponentialDelay', instead: 'no request is delayed' },
  ]);
});

describe.each(Object.keys(uncoveredFields))('%s', (kind) => {
  test('every path of the table exists in the schema', () => {
    const found = crds.filter((candidate) => candidate.kind === kind);
    if (found.length === 0) return expect(kind).toBe('Service');
    const text = found
      .map(({ plural, group }) =>
        readFileSync(new URL(`../../gen/crd/${plural}.${group}.json`, import.meta.url), 'utf8'),
      )
      .join('');
    for (const { path } of uncoveredFields[kind] ?? [])
      for (const step of path.split('.')) expect(text).toContain(`"${step.replace('[]', '')}"`);
  });
});
