import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';

const collection = '/apis/networking.istio.io/v1/namespaces/default/virtualservices';
const maps = '/api/v1/namespaces/default/configmaps';
const yaml = 'application/yaml';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ limits: { bodyMs: 700, requests: 20, watchesPerUser: 3 } });
});
afterAll(() => api.close());

/** Runs a bad request and makes sure that the store is as it was. */
async function refused(method: string, path: string, body: unknown, type?: string) {
  const before = await api.store.revision();
  const answer = await api.call(method, path, { body, ...(type === undefined ? {} : { type }) });
  expect(await api.store.revision()).toBe(before);
  expect(answer.json).toMatchObject({
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code: answer.status,
  });
  return answer;
}

const virtualService = (spec: unknown) => ({ metadata: { name: 'bad' }, spec });

test('wrong types name the JSON path', async () => {
  const answer = await refused(
    'POST',
    collection,
    virtualService({ hosts: 'reviews', http: [{ timeout: 5 }] }),
  );
  expect(answer.status).toBe(422);
  expect(answer.json.reason).toBe('Invalid');
  const fields = answer.json.details.causes.map((cause: { field: string }) => cause.field);
  expect(fields).toContain('spec.hosts');
  expect(fields).toContain('spec.http[0].timeout');
  expect(answer.json.message).toContain('VirtualService.networking.istio.io "bad" is invalid');
});

test('wrong types in metadata', async () => {
  const labels = await refused('POST', maps, { metadata: { name: 'a', labels: { 'app.io/x': 5 } } });
  expect(labels.status).toBe(400);
  expect(labels.json.message).toContain('metadata.labels[app.io/x]');
  expect((await refused('POST', maps, { metadata: 7 })).json.message).toContain('metadata');
  expect(
    (await refused('POST', maps, { metadata: { name: 'a', ownerReferences: [1] } })).json.message,
  ).toContain('metadata.ownerReferences[0]');
  expect((await refused('POST', maps, { metadata: { name: ['a'] } })).json.message).toContain(
    'metadata.name',
  );
  expect(
    (await refused('POST', maps, { metadata: { name: 'Not_A_Name' } })).json.details.causes[0].field,
  ).toBe('metadata.name');
  expect((await refused('POST', maps, {})).json.message).toContain('name or generateName is required');
});

test('unknown and duplicate fields: refused, warned of or ignored', async () => {
  const body =
    '{"metadata":{"name":"dup"},"spec":{"hosts":["a"],"hots":[],"hosts":["b"],"http":[{"route":[{"destination":{"host":"b"}}]}]}}';
  const strict = await refused('POST', `${collection}?fieldValidation=Strict`, body);
  expect(strict.status).toBe(400);
  expect(strict.json.message).toContain(
    'strict decoding error: unknown field "spec.hots", duplicate field "spec.hosts"',
  );
  const warned = await api.call('POST', collection, { body });
  expect(warned.status).toBe(201);
  expect(warned.json.spec).toEqual({ hosts: ['b'], http: [{ route: [{ destination: { host: 'b' } }] }] });
  expect(String(warned.headers.warning)).toContain('299 - "unknown field \\"spec.hots\\""');
  const quiet = await api.call('PUT', `${collection}/dup?fieldValidation=Ignore`, {
    body: { ...warned.json, spec: { ...warned.json.spec, x: 1 } },
  });
  expect(quiet.status).toBe(200);
  expect(quiet.headers.warning).toBeUndefined();
  expect((await refused('POST', `${collection}?fieldValidation=Perhaps`, body)).status).toBe(422);
  await api.call('DELETE', `${collection}/dup`);
});

test('YAML bodies: complaints carry line and column', async () => {
  const broken = await refused('POST', maps, 'metadata:\n  name: x\n data: {a: b', yaml);
  expect(broken.status).toBe(400);
  expect(broken.json.message).toMatch(/line 3, column \d+/);
  const wrong = await refused(
    'POST',
    collection,
    'metadata:\n  name: x\nspec:\n  hosts: [a]\n  http:\n  - timeout: 5\n',
    yaml,
  );
  expect(wrong.status).toBe(422);
  const cause = wrong.json.details.causes.find(
    (one: { field: string }) => one.field === 'spec.http[0].timeout',
  );
  expect(cause.message).toContain('(line 6, column 5)');
  const unknown = await refused(
    'POST',
    `${collection}?fieldValidation=Strict`,
    'metadata: {name: x}\nspec:\n  hosts: [a]\n  hots: []\n',
    yaml,
  );
  expect(unknown.json.message).toContain('unknown field "spec.hots" (line 4, column 3)');
  const twice = await refused(
    'POST',
    `${maps}?fieldValidation=Strict`,
    'metadata: {name: x}\ndata:\n  a: "1"\n  a: "2"\n',
    yaml,
  );
  expect(twice.json.message).toContain('duplicate field "data.a"');
  expect((await refused('POST', maps, 'a: 1\n---\nb: 2\n', yaml)).json.message).toContain(
    'one YAML document',
  );
  expect((await refused('POST', maps, 'metadata: {name: x}\ndata: {a: .inf}', yaml)).json.message).toContain(
    'JSON',
  );
});

test('anchors that contain themselves, and anchors that multiply', async () => {
  const cyclic = await refused('POST', maps, 'metadata: {name: x}\ndata: &d\n  again: *d\n', yaml);
  expect(cyclic.status).toBe(400);
  expect(cyclic.json.message).toContain('line 3');
  expect(cyclic.json.message).toContain('contains itself');
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
  for (let i = 1; i < 9; i++)
    lines.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(',')}]`,
    );
  const laughs = await refused('POST', maps, lines.join('\n'), yaml);
  expect(laughs.status).toBe(400);
  expect(laughs.json.message).toMatch(/aliases|values/);
  expect((await refused('POST', maps, 'a: *nowhere', yaml)).status).toBe(400);
});

test('anchors that behave are expanded', async () => {
  const body = 'metadata: {name: anchored}\ndata:\n  a: &v one\n  b: *v\n';
  const answer = await api.call('POST', maps, { body, type: yaml });
  expect(answer.json.data).toEqual({ a: 'one', b: 'one' });
});

test('YAML as large as an object may be: taken, complained of by line, and nobody waits for it', async () => {
  const routes = (weight: string) =>
    Array.from(
      { length: 1_500 },
      (_, i) => `  - match:
    - uri: { prefix: /path-${i} }
    route:
    - destination: { host: reviews.default.svc.cluster.local, subset: v${i} }
      weight: ${i === 1_499 ? weight : 100}
`,
    ).join('');
  const body = (weight: string) =>
    `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: large }\nspec:\n  hosts: [reviews]\n  http:\n${routes(weight)}`;
  const services = '/apis/networking.istio.io/v1/namespaces/default/virtualservices';
  const wrong = await refused('POST', services, body('heavy'), yaml);
  expect(wrong.status).toBe(422);
  expect(wrong.json.details.causes).toEqual([
    expect.objectContaining({
      field: 'spec.http[1499].route[0].weight',
      message: expect.stringContaining(`line ${6 + 1_499 * 5 + 5}, column 7`),
    }),
  ]);
  const order: string[] = [];
  const large = api.call('POST', services, { body: body('100'), type: yaml }).then((answer) => {
    order.push('large');
    return answer;
  });
  // Both are on their way: the second overtakes the first while that is parsed.
  await api.call('GET', '/version').then(() => order.push('small'));
  expect((await large).status).toBe(201);
  expect(order).toEqual(['small', 'large']);
  const lines = Array.from({ length: 60 }, (_, i) => `  k${i}: *text`);
  const bomb = `metadata: { name: bomb }\ndata:\n  text: &text ${'x'.repeat(60_000)}\n${lines.join('\n')}\n`;
  expect((await refused('POST', maps, bomb, yaml)).json.message).toMatch(
    /line 30, column 8: aliases repeat more than 1572864 characters/,
  );
});

test('malformed JSON, other shapes and empty bodies', async () => {
  expect((await refused('POST', maps, '{"metadata":')).json.message).toContain('error parsing JSON');
  expect((await refused('POST', maps, '[]')).status).toBe(400);
  expect((await refused('POST', maps, '"text"')).status).toBe(400);
  expect((await refused('POST', maps, ' ')).json.message).toContain('the body is empty');
  expect((await refused('POST', maps, { kind: 'Secret', metadata: { name: 'a' } })).json.message).toContain(
    'does not match the expected kind (ConfigMap)',
  );
  expect((await refused('POST', maps, { apiVersion: 'v2', metadata: { name: 'a' } })).json.message).toContain(
    'does not match the expected API version (v1)',
  );
  expect((await refused('POST', maps, { kind: 'ConfigMapList', items: [] })).status).toBe(400);
  expect((await refused('POST', maps, '<xml/>', 'application/xml')).status).toBe(415);
  expect(
    (await refused('POST', maps, { metadata: { name: 'a', namespace: 'other' } })).json.message,
  ).toContain('does not match the namespace sent on the request');
});

test('invalid UTF-8', async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"metadata":{"name":"a"},"data":{"k":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}}'),
  ]);
  const answer = await refused('POST', maps, bytes);
  expect(answer.status).toBe(400);
  expect(answer.json.message).toContain('not valid UTF-8 (first bad byte at offset 38)');
});

test('nesting without end', async () => {
  const deep = `{"metadata":{"name":"deep"},"data":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`;
  const answer = await refused('POST', maps, deep);
  expect(answer.status).toBe(400);
  expect(answer.json.message).toContain('nested deeper than 128 levels');
  expect((await refused('POST', maps, `metadata: {name: x}\ndata: ${'['.repeat(2000)}`, yaml)).status).toBe(
    400,
  );
});

test('too much: bodies of 5 MB, objects above 1.5 MiB, long URLs, huge headers', async () => {
  const answer = await refused('POST', maps, {
    metadata: { name: 'big' },
    data: { a: 'x'.repeat(5_000_000) },
  });
  expect(answer.status).toBe(413);
  expect(answer.json.message).toContain('3145728');
  const object = await refused('POST', maps, {
    metadata: { name: 'big' },
    data: { a: 'x'.repeat(1_600_000) },
  });
  expect(object.status).toBe(413);
  expect(
    (await refused('POST', maps, `metadata: {name: big}\ndata: {a: "${'x'.repeat(1_600_000)}"}`, yaml))
      .status,
  ).toBe(413);
  expect((await api.call('GET', `${maps}?labelSelector=${'a'.repeat(17_000)}`)).status).toBe(413);
  expect((await api.call('GET', maps, { headers: { 'x-long': 'a'.repeat(40_000) } })).status).toBe(431);
  const notes = { metadata: { name: 'notes', annotations: { a: 'x'.repeat(300_000) } } };
  expect((await refused('POST', maps, notes)).json.details.causes[0].field).toBe('metadata.annotations');
});

test('patches that are bombs, malformed or do not fit', async () => {
  await api.call('POST', maps, { body: { metadata: { name: 'patched' }, data: { a: '1' } } });
  const patch = (body: unknown, type = 'application/json-patch+json') =>
    refused('PATCH', `${maps}/patched`, body, type);
  const many = await patch(
    Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/data/a', value: '1' })),
  );
  expect(many.status).toBe(413);
  expect(many.json.message).toContain('10001 operations');
  const doubling = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/data', path: `/data/x${i}` }));
  expect((await patch(doubling)).status).toBe(413);
  expect((await patch([{ op: 'add', path: 'data/a', value: 1 }])).json.message).toContain('[0]: path');
  expect((await patch([{ op: 'explode', path: '/a' }])).json.message).toContain(
    'unknown operation "explode"',
  );
  expect((await patch({})).status).toBe(400);
  const missing = await patch([{ op: 'remove', path: '/data/none' }]);
  expect(missing.status).toBe(422);
  expect(missing.json.message).toContain('operations[0] (remove /data/none)');
  expect((await patch([{ op: 'test', path: '/data/a', value: '2' }])).status).toBe(422);
  expect((await patch([{ op: 'replace', path: '/metadata', value: 'x' }])).status).toBe(400);
  expect((await patch([{ op: 'replace', path: '/metadata/name', value: 'x' }])).status).toBe(400);
  expect((await patch([], 'application/merge-patch+json')).status).toBe(400);
  expect((await patch('{}', 'text/plain')).status).toBe(415);
  expect((await patch({ data: { a: 5 } }, 'application/merge-patch+json')).status).toBe(422);
  expect((await patch({ metadata: { labels: [] } }, 'application/merge-patch+json')).status).toBe(400);
  expect((await patch({ data: {} }, 'application/apply-patch+yaml')).json.message).toContain(
    'fieldManager: Required value',
  );
  expect((await refused('PATCH', `${maps}/none`, {}, 'application/merge-patch+json')).status).toBe(404);
  const prototype = await api.call('PATCH', `${maps}/patched`, {
    body: '{"metadata":{"annotations":{"a":"b"}},"__proto__":{"polluted":"yes"}}',
    type: 'application/merge-patch+json',
  });
  expect(prototype.status).toBe(200);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('selectors, versions, tokens and options that make no sense', async () => {
  const bad = async (query: string) => (await refused('GET', `${maps}?${query}`, undefined)).json;
  expect((await bad('labelSelector=a%20b')).message).toContain('unable to parse requirement');
  expect((await bad('labelSelector=a%20in%20(b')).code).toBe(400);
  expect((await bad('fieldSelector=spec.x%3D1')).message).toContain('field label not supported: spec.x');
  expect((await bad('resourceVersion=abc')).message).toContain('resourceVersion');
  expect((await bad('limit=many')).message).toContain('limit');
  expect((await bad('continue=zzz')).message).toContain('continue');
  expect((await bad('resourceVersionMatch=Exact')).message).toContain(
    'resourceVersionMatch is forbidden unless resourceVersion is provided',
  );
  expect((await bad('watch=true&sendInitialEvents=true')).message).toContain('NotOlderThan');
  expect((await bad('resourceVersion=99999999999999')).message).toContain('Too large resource version');
  expect((await refused('DELETE', `${maps}/patched`, { propagationPolicy: 'Sideways' })).status).toBe(422);
  expect((await refused('POST', `${maps}?dryRun=Some`, { metadata: { name: 'a' } })).status).toBe(422);
});

test('paths and methods that are not there', async () => {
  expect((await refused('GET', '/apis/nobody.example.com/v1/things', undefined)).status).toBe(404);
  expect((await refused('GET', '/api/v1/namespaces/default/configmaps/a/b/c', undefined)).status).toBe(404);
  expect((await refused('GET', '/api/v1/namespaces/default/nodes', undefined)).status).toBe(404);
  expect((await refused('POST', '/api/v1/configmaps', { metadata: { name: 'a' } })).status).toBe(405);
  expect((await refused('POST', `${maps}/a`, { metadata: { name: 'a' } })).status).toBe(405);
  expect((await refused('PUT', maps, { metadata: { name: 'a' } })).status).toBe(405);
  expect((await refused('POST', '/version', {})).status).toBe(405);
  expect((await refused('GET', `${maps}/%zz`, undefined)).status).toBe(404);
  expect(
    (await refused('POST', '/api/v1/namespaces/nowhere/configmaps', { metadata: { name: 'a' } })).json
      .message,
  ).toBe('namespaces "nowhere" not found');
});

test('a connection that is half closed, and one that never sends its body', async () => {
  const admin = await api.user('admin', ['system:masters']);
  const raw = (head: string, half: boolean) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({
        port: api.server.port,
        host: '127.0.0.1',
        ca: api.pki.authorityPem,
        cert: admin.certificatePem,
        key: admin.keyPem,
        allowHalfOpen: true,
      } as never);
      let text = '';
      socket.on('secureConnect', () => {
        socket.write(head);
        if (half) socket.end();
      });
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text));
      socket.on('end', () => socket.destroy());
    });
  const before = await api.store.revision();
  const half = await raw(
    `POST ${maps} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"metadata"`,
    true,
  );
  expect(half === '' || half.startsWith('HTTP/1.1 400')).toBe(true);
  const slow = await raw(
    `POST ${maps} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    false,
  );
  expect(slow).toMatch(/^HTTP\/1\.1 504/);
  expect(await api.store.revision()).toBe(before);
});

test('garbage instead of TLS or HTTP does not end the server', async () => {
  const { connect: connectPlain } = await import('node:net');
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\xff\xff', '\0'.repeat(100)]) {
    await new Promise<void>((resolve) => {
      const socket = connectPlain(api.server.port, '127.0.0.1', () => socket.end(bytes));
      socket.on('error', () => resolve());
      socket.on('close', () => resolve());
      socket.resume();
    });
  }
  expect((await api.call('GET', '/readyz')).text).toBe('ok');
});

test('HTTP/2 works, and a stream that is reset costs nobody anything', async () => {
  const admin = await api.user('admin', ['system:masters']);
  const session = connectHttp2(api.server.url, {
    ca: api.pki.authorityPem,
    cert: admin.certificatePem ?? '',
    key: admin.keyPem ?? '',
  });
  session.on('error', () => {});
  const get = (path: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const stream = session.request({ ':path': path });
      let status = 0;
      let text = '';
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      stream.on('end', () => resolve({ status, text }));
      stream.on('error', reject);
    });
  expect((await get('/api/v1/namespaces/default')).status).toBe(200);
  const abandoned = session.request({ ':path': maps, ':method': 'POST', 'content-type': 'application/json' });
  abandoned.on('error', () => {});
  abandoned.write('{"metadata"');
  abandoned.close(8);
  expect((await get('/version')).text).toContain('gitVersion');
  session.close();
});

test('a user has only so many watches', async () => {
  const watches = [0, 1, 2].map(() =>
    api.watch(`${maps}?watch=true&resourceVersion=0&allowWatchBookmarks=true`),
  );
  await Promise.all(watches.map((watch) => watch.until((lines) => lines.length > 0)));
  const fourth = await api.call('GET', `${maps}?watch=true`);
  expect(fourth.status).toBe(429);
  expect(fourth.headers['retry-after']).toBe('1');
  for (const watch of watches) watch.stop();
  await expect
    .poll(async () => {
      const watch = api.watch(`${maps}?watch=true`);
      const outcome = await Promise.race([
        watch.until((lines) => lines.length > 0).then(() => 'open'),
        watch.ended.then(() => 'refused'),
      ]);
      watch.stop();
      return outcome;
    })
    .toBe('open');
});
