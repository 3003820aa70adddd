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
    const crd = crds.find((candidate) => candidate.kind === kind && candidate.group.endsWith('istio.io'));
    if (!crd) return expect(kind).toBe('Service');
    const file = new URL(`../../gen/crd/${crd.plural}.${crd.group}.json`, import.meta.url);
    const text = readFileSync(file, 'utf8');
    for (const { path } of uncoveredFields[kind] ?? [])
      for (const step of path.split('.')) expect(text).toContain(`"${step.replace('[]', '')}"`);
  });
});
