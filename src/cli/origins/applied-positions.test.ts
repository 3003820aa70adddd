import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiClient } from '../api/api-client.ts';
import { noteAppliedFiles } from './applied-files.ts';
import { appliedPositions } from './applied-positions.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'ostria-positions-'));
  vi.stubEnv('OSTRIA_HOME', home);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

const text = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
`;

test('an object stands where its file was applied from, until the file says something else', () => {
  const server = 'https://127.0.0.1:1';
  const file = join(home, 'reviews.yaml');
  writeFileSync(file, text);
  noteAppliedFiles(server, [file]);
  const client = new ApiClient({ server, namespace: 'default', source: 'test', insecure: false });
  const object = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' }, weight: 100 }] }] },
  };
  expect(appliedPositions(client)(object)?.at('spec.http[0]')).toMatchObject({ line: 7, column: 5 });
  expect(
    appliedPositions(client)({ ...object, metadata: { name: 'other', namespace: 'default' } }),
  ).toBeUndefined();
  writeFileSync(file, text.replace('host: reviews', 'host: ratings'));
  expect(appliedPositions(client)(object)).toBeUndefined();
  client.close();
});
