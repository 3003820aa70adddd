import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../test/support/api-server.ts';
import type { MeshService } from '../registry/service.ts';
import { World } from '../snapshot/world.ts';
import { admissionWarnings } from './admission-warnings.ts';

let api: TestApi;
let world: World;
let current: boolean;

const service: MeshService = {
  hostname: 'reviews.default.svc.cluster.local',
  namespace: 'default',
  name: 'reviews',
  source: 'kubernetes',
  ports: [{ name: 'http', port: 9080, protocol: 'HTTP' }],
  resolution: 'static',
  external: false,
  addresses: ['10.0.0.1'],
} as unknown as MeshService;

beforeEach(async () => {
  world = new World();
  current = true;
  world.apply([{ kind: 'service', key: 'default/reviews.default.svc.cluster.local', value: service }]);
  const hook = admissionWarnings({ world, isCurrent: () => current, now: Date.now });
  api = await startTestApi({ hooks: [hook] });
});
afterEach(() => api.close());

async function write(spec: object, query = ''): Promise<string> {
  const answer = await api.call(
    'POST',
    `/apis/networking.istio.io/v1/namespaces/default/virtualservices${query}`,
    {
      body: {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { generateName: 'reviews-' },
        spec,
      },
    },
  );
  expect(answer.status, answer.text).toBe(201);
  return String(answer.headers.warning ?? '');
}

const to = (host: string, subset?: string) => ({ route: [{ destination: { host, subset } }] });

test('who writes an object is told what it asks for and cannot have', async () => {
  expect(await write({ hosts: ['reviews'], http: [to('reviews')] })).toBe('');
  expect(await write({ hosts: ['reviews'], http: [to('nowhere')] }, '?dryRun=All')).toMatch(
    /^299 - "\[ReferencedHostNotFound\] spec\.http\[0\]\.route\[0\]\.destination\.host: .*nowhere/,
  );
  expect(await write({ hosts: ['reviews'], http: [to('reviews', 'v9')] })).toContain(
    'ReferencedSubsetNotFound',
  );
  // The question has left no trace.
  expect(world.count('VirtualService')).toBe(0);
});

test('what an object says of itself is told whatever the mesh knows', async () => {
  current = false;
  const warning = await write({
    hosts: ['reviews'],
    http: [
      { ...to('nowhere'), match: [{ uri: { prefix: '/a' } }] },
      { ...to('reviews'), match: [{ uri: { prefix: '/a/b' } }] },
    ],
  });
  expect(warning).toContain('[IST0130] spec.http[1]');
  expect(warning).not.toContain('nowhere');
});
