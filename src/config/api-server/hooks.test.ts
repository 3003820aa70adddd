import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import type { AdmissionHook } from './admission-hooks.ts';
import { forbidden } from './status.ts';

const services = '/api/v1/namespaces/default/services';
const seen: string[] = [];

const hook: AdmissionHook = {
  name: 'test',
  mutate: ({ kind, object, user, warn }) => {
    if (kind.kind !== 'Service' || !object) return;
    object.metadata.labels = { ...object.metadata.labels, by: user.name };
    const spec = object.spec as { ports?: { name?: string; unknown?: string }[] };
    for (const port of spec.ports ?? [])
      if (port.name === undefined) Object.assign(port, { name: 'named', unknown: 'x' });
    warn('the hook was here');
  },
  validate: ({ kind, operation, object, old, dryRun }) => {
    if (kind.kind !== 'Service') return [];
    seen.push(`${operation} ${object?.metadata.name ?? old?.metadata.name ?? ''}${dryRun ? ' dry' : ''}`);
    if (operation === 'DELETE')
      throw forbidden({ group: '', resource: 'services' }, old?.metadata.name ?? '', 'it is needed');
    if (object?.metadata.labels?.forbidden === undefined) return [];
    return [
      {
        path: 'metadata.labels[forbidden]',
        severity: 'error',
        code: 'FieldValueForbidden',
        message: 'not here',
      },
    ];
  },
};

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ hooks: [hook] });
});
afterAll(() => api.close());

test('hooks change, refuse and warn; what they add goes through the schema too', async () => {
  const body = { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } };
  const made = await api.call('POST', services, { body });
  expect(made.json).toMatchObject({
    metadata: { labels: { by: 'admin' } },
    spec: { type: 'ClusterIP', ports: [{ port: 80, protocol: 'TCP', name: 'named' }] },
  });
  expect(made.json.spec.ports[0].unknown).toBeUndefined();
  expect(String(made.headers.warning)).toBe('299 - "the hook was here"');
  // What a hook adds belongs to the writer.
  expect(made.json.metadata.managedFields[0].fieldsV1['f:metadata']['f:labels']).toMatchObject({
    'f:by': {},
  });
  const labels = { metadata: { labels: { forbidden: 'yes' } } };
  const refused = await api.call('PATCH', `${services}/s?dryRun=All`, {
    body: labels,
    type: 'application/merge-patch+json',
  });
  expect(refused.json).toMatchObject({
    code: 422,
    details: {
      causes: [
        {
          field: 'metadata.labels[forbidden]',
          reason: 'FieldValueForbidden',
          message: 'Forbidden: not here',
        },
      ],
    },
  });
  const kept = await api.call('DELETE', `${services}/s`);
  expect(kept.json).toMatchObject({ code: 403, message: 'services "s" is forbidden: it is needed' });
  expect(seen).toEqual(['CREATE s', 'UPDATE s dry', 'DELETE s']);
});

test('long answers are compressed for those who can read it', async () => {
  const maps = '/api/v1/namespaces/default/configmaps';
  await api.call('POST', maps, { body: { metadata: { name: 'long' }, data: { a: 'x'.repeat(300_000) } } });
  const answer = await api.call('GET', `${maps}/long`, { headers: { 'accept-encoding': 'gzip' } });
  expect(answer.headers['content-encoding']).toBe('gzip');
  expect(Number(answer.headers['content-length'])).toBeLessThan(10_000);
  expect((await api.call('GET', `${maps}/long`)).headers['content-encoding']).toBeUndefined();
});
