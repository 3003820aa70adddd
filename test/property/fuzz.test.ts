// Whatever arrives from outside is answered or refused: it ends no process, hangs none and is not kept.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { parseCertificateRequest } from '../../src/ca/certificate-request.ts';
import { createKey, createSigningRequest } from '../../src/ca/certificate-signing-request.ts';
import { openJoinTokens } from '../../src/ca/join-token.ts';
import { derToPem, pemToDer } from '../../src/ca/pem.ts';
import { createServiceAccountTokens } from '../../src/ca/service-account-token.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { decodeDeltaRequest, decodeSotwRequest } from '../../src/xds/request.ts';
import { WireError } from '../../src/xds/wire.ts';
import { startTestApi, type TestApi } from '../support/api-server.ts';
import { fuzz, fuzzTimeout, mutated } from '../support/fuzz.ts';
import { root } from '../support/ostria.ts';
import { fc } from '../support/properties.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-fuzz-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 200 }));
const asText = (bytes: Buffer): string => bytes.toString('latin1');

test(
  'certificate signing requests',
  async () => {
    const label = 'CERTIFICATE REQUEST';
    const pem = createSigningRequest(await createKey(), 'spiffe://cluster.local/ns/a/sa/b');
    const der = pemToDer(pem, label) as Buffer;
    const inputs = fc.oneof(
      { weight: 4, arbitrary: mutated([der]).map((bytes) => derToPem(bytes, label)) },
      { weight: 2, arbitrary: mutated([Buffer.from(pem)]).map(asText) },
      fc.uint8Array({ maxLength: 300 }).map((bytes) => derToPem(bytes, label)),
      text,
    );
    const ask = async (input: string) => {
      const answer = await parseCertificateRequest(input);
      if (answer.ok) expect(answer.publicKey.length).toBeGreaterThan(0);
      else expect(answer.error).not.toBe('');
      return answer.ok ? 'taken' : 'refused';
    };
    await fuzz('certificate signing requests', inputs, ask, ['taken', 'refused']);
  },
  fuzzTimeout,
);

test(
  'join tokens',
  async () => {
    const tokens = openJoinTokens({ directory: join(directory, 'tokens') });
    const identity = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
    const sound = [0, 1].map(() => tokens.mint(identity, { ttlMs: 3_600_000 }).token);
    const inputs = fc.oneof(
      { weight: 4, arbitrary: mutated(sound.map((token) => Buffer.from(token))).map(asText) },
      text.map((rest) => `ostria-join.${rest}`),
      fc
        .tuple(fc.constantFrom('..', '../x', 'a/b', '\0', '0'.repeat(32)), text)
        .map(([id, secret]) => `ostria-join.${id}.${secret}`),
      text,
    );
    const ask = (input: string) => {
      const found = tokens.check(input);
      // None but the very tokens, and guesses use up none of them.
      expect(found).toEqual(sound.includes(input) ? identity : undefined);
      if (!found) expect(tokens.redeem(input)).toBeUndefined();
      return found ? 'taken' : 'refused';
    };
    await fuzz('join tokens', inputs, ask, ['taken', 'refused']);
    expect(sound.map((token) => typeof tokens.redeem(token))).toEqual(['function', 'function']);
  },
  fuzzTimeout,
);

test(
  'JSON Web Tokens',
  async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    const tokens = createServiceAccountTokens({ key, issuer: 'https://mesh.example' });
    const account = { namespace: 'a', serviceAccount: 'b' };
    const { token } = await tokens.sign(account, { ttlSeconds: 86_400 });
    const [header = '', payload = '', signature = ''] = token.split('.');
    const base64 = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url');
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('ES256', 'none', 'HS256', 'RS256', 'a'),
    );
    const headers = fc
      .record({ alg: odd, typ: odd, crit: odd, b64: odd, jwk: odd, kid: odd, zip: odd }, { requiredKeys: [] })
      .map(base64);
    const claims = fc.record({ sub: odd, iss: odd, aud: odd, exp: odd, nbf: odd }, { requiredKeys: [] });
    const part = fc.oneof(
      fc.constantFrom(header, payload, signature, ''),
      headers,
      claims.map(base64),
      fc.base64String(),
      text,
    );
    const inputs = fc.oneof(
      { weight: 2, arbitrary: mutated([Buffer.from(token)]).map(asText) },
      fc.tuple(headers, fc.constant(payload), fc.constant(signature)).map((parts) => parts.join('.')),
      fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
    );
    const ask = async (input: string) => {
      const found = await tokens.verify(input);
      if (found) expect(input.split('.').slice(0, 2)).toEqual([header, payload]);
      return found ? 'taken' : 'refused';
    };
    await fuzz('JSON Web Tokens', inputs, ask, ['taken', 'refused']);
  },
  fuzzTimeout,
);

test(
  'xDS requests',
  async () => {
    const node = { id: 'sidecar~1.2.3.4~a.b~c', metadata: { NAMESPACE: 'b', LABELS: { app: 'a' } } };
    const head = { node, typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', responseNonce: 'n' };
    const delta = create(DeltaDiscoveryRequestSchema, {
      ...head,
      resourceNamesSubscribe: ['a', 'b'],
      initialResourceVersions: { x: '1', y: '' },
      errorDetail: { code: 13, message: 'bad', details: [] },
    });
    const sotw = create(DiscoveryRequestSchema, { ...head, resourceNames: ['a', 'b'] });
    const corpus = [toBinary(DeltaDiscoveryRequestSchema, delta), toBinary(DiscoveryRequestSchema, sotw)];
    const bytes = fc.oneof({ weight: 4, arbitrary: mutated(corpus) }, fc.uint8Array({ maxLength: 300 }));
    const ask = ([message, isDelta]: [Uint8Array, boolean]) => {
      try {
        const request = (isDelta ? decodeDeltaRequest : decodeSotwRequest)(Buffer.from(message), true);
        const names = [...request.subscribe, ...request.unsubscribe, ...request.claims.names];
        expect(names.every((name) => typeof name === 'string')).toBe(true);
        expect(names.length).toBeLessThanOrEqual(message.length);
        return 'read';
      } catch (error) {
        if (error instanceof WireError) return 'refused';
        throw error;
      }
    };
    await fuzz('xDS requests', fc.tuple(bytes, fc.boolean()), ask, ['read', 'refused']);
  },
  fuzzTimeout,
);

/** The YAML that people start from. */
function samples(): Buffer[] {
  const folder = join(root, 'samples');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml') && !name.includes('node_modules'))
    .map((name) => readFileSync(join(folder, name)).subarray(0, 2_000));
}

const yamlPieces = fc
  .array(
    fc.constantFrom(
      ...[
        'a: ',
        '- ',
        '? ',
        ': ',
        '\n',
        '  ',
        '\t',
        '---\n',
        '...\n',
        '%YAML 1.1\n',
        '%TAG ! x\n',
        '&a ',
        '*a ',
      ],
      ...[
        '<<: ',
        '!!binary ',
        '!!int ',
        '!x ',
        '|\n',
        '>-\n',
        '"',
        "'",
        '{',
        '}',
        '[',
        ']',
        ', ',
        '#',
        '\\u',
        '\r',
      ],
      ...[
        'apiVersion: v1\n',
        'kind: List\n',
        'items:\n',
        'metadata: {name: x}\n',
        '0x1F',
        '1e999',
        '.nan',
        'yes',
      ],
      ...['__proto__: ', 'constructor: ', '\u{feff}', '\u{85}', '\u{2028}', '\0'],
    ),
    { maxLength: 60 },
  )
  .map((pieces) => pieces.join(''));

test(
  'YAML',
  async () => {
    const bombs = ['[', '{a: ', '- ', '? ', '!!x ', '&a [*a, '].map((piece) =>
      Buffer.from(piece.repeat(300)),
    );
    const aliases = Buffer.from(
      `a0: &a0 [x, x]\n${Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}`,
    );
    const inputs = fc.oneof(
      { weight: 3, arbitrary: mutated([...samples(), ...bombs, aliases]) },
      { weight: 2, arbitrary: yamlPieces },
      fc.uint8Array({ maxLength: 300 }),
    );
    const ask = (input: string | Uint8Array) => {
      const { objects, problems } = parseYamlDocuments(input, 'fuzz.yaml');
      for (const { line, column, code, message } of problems) {
        expect(Math.min(line, column)).toBeGreaterThan(0);
        expect([code, message]).not.toContain('');
      }
      for (const { object } of objects) JSON.stringify(object);
      return problems.length > 0 ? 'refused' : 'read';
    };
    await fuzz('YAML', inputs, ask, ['read', 'refused']);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  },
  fuzzTimeout,
);

const group = '/apis/networking.istio.io/v1/namespaces/default/virtualservices';
const core = '/api/v1/namespaces/default/configmaps';
const protobufType = 'application/vnd.kubernetes.protobuf';

const jsonTypes = ['application/json', 'application/yaml'];
const patchTypes = ['merge-patch+json', 'json-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml'];
const allTypes = [...jsonTypes, protobufType, ...patchTypes.map((type) => `application/${type}`)];

interface ApiInput {
  readonly method: string;
  readonly path: string;
  readonly type: string;
  readonly body: Uint8Array;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const virtualService = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService' };
const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept' }, data: { a: 'b' } };
const spec = { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }], timeout: '5s' }] };
const sound = [
  { ...virtualService, metadata: { name: 'kept' }, spec },
  { ...virtualService, metadata: { name: 'kept', labels: { a: 'b' }, resourceVersion: '3' }, spec },
  configMap,
].map(json);
const jsonPatch = json([
  { op: 'add', path: '/metadata/labels', value: { a: 'b' } },
  { op: 'copy', from: '/metadata/name', path: '/metadata/labels/c' },
  { op: 'test', path: '/metadata/name', value: 'kept' },
  { op: 'remove', path: '/metadata/labels/c' },
]);
const merges = [
  { metadata: { annotations: { x: null, y: 'z' } } },
  { spec: { hosts: ['b'], http: null } },
  { data: { $patch: 'replace', b: 'c' }, metadata: { ownerReferences: [{ $patch: 'delete', uid: 'u' }] } },
].map(json);

/** `runtime.Unknown` with the type and a message of it, behind the four bytes that mark it. */
function protobufBody(kind: string): Buffer {
  const field = (tag: number, bytes: Uint8Array) => Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
  const type = Buffer.concat([field(0x0a, Buffer.from('v1')), field(0x12, Buffer.from(kind))]);
  const metadata = field(0x0a, field(0x0a, Buffer.from('kept')));
  return Buffer.concat([Buffer.from('k8s\0'), field(0x0a, type), field(0x12, metadata)]);
}

function apiRequests(): fc.Arbitrary<ApiInput> {
  const request = (methods: string[], types: readonly string[], corpus: readonly Uint8Array[]) =>
    fc
      .record({
        method: fc.constantFrom(...methods),
        collection: fc.constantFrom(group, core),
        query: fc.constantFrom('', '?fieldManager=f', '?fieldManager=f', '?fieldManager=f&dryRun=All'),
        type: fc.constantFrom(...types),
        body: fc.oneof(
          { weight: 6, arbitrary: mutated(corpus) },
          fc.json({ maxDepth: 4 }).map((drawn) => Buffer.from(drawn)),
          yamlPieces.map((drawn) => Buffer.from(drawn)),
          fc.uint8Array({ maxLength: 300 }),
        ),
      })
      .map(
        ({ method, collection, query, type, body }): ApiInput => ({
          path: `${collection}${method === 'POST' ? '' : '/kept'}${query}`,
          ...{ method, type, body },
        }),
      );
  const [merge, list, strategic, apply] = patchTypes.map((type) => `application/${type}`) as [
    string,
    string,
    string,
    string,
  ];
  return fc.oneof(
    { weight: 3, arbitrary: request(['POST', 'PUT'], jsonTypes, sound) },
    {
      weight: 2,
      arbitrary: request(['POST', 'PUT'], [protobufType], ['ConfigMap', 'VirtualService'].map(protobufBody)),
    },
    { weight: 2, arbitrary: request(['PATCH'], [merge, strategic], merges) },
    { weight: 2, arbitrary: request(['PATCH'], [list], [jsonPatch]) },
    { weight: 2, arbitrary: request(['PATCH'], [apply], sound) },
    request(['POST', 'PUT', 'PATCH', 'DELETE'], allTypes, [...sound, ...merges, jsonPatch]),
  );
}

test(
  'bodies of API requests',
  async () => {
    const api: TestApi = await startTestApi();
    try {
      const ask = async ({ method, path, type, body }: ApiInput) => {
        const { status, json } = await api.call(method, path, { body, type });
        const collection = path.startsWith(group) ? group : core;
        expect([status, json.message]).toEqual([
          expect.toSatisfy((code: number) => code < 500),
          json.message,
        ]);
        if (status < 300) {
          // Objects under names that were drawn would only pile up.
          const name = json.metadata?.name;
          if (typeof name === 'string' && name !== 'kept')
            await api.call('DELETE', `${collection}/${encodeURIComponent(name)}`);
          return 'done';
        }
        expect(json).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
        expect(json.message).not.toBe('');
        return 'refused';
      };
      await fuzz('bodies of API requests', apiRequests(), ask, ['done', 'refused']);
      expect((await api.call('GET', '/readyz')).text).toBe('ok');
      // What was let in can be read, by those who list too.
      const { status, json } = await api.call('GET', group);
      expect([status, json.kind]).toEqual([200, 'VirtualServiceList']);
      expect(api.log.filter(({ level }) => level === 'error')).toEqual([]);
    } finally {
      await api.close();
    }
  },
  fuzzTimeout,
);
