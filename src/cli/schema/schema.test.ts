import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { parseMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { readTestFile } from '../mesh-tests/read-test-file.ts';
import { schemaFiles, schemaOf } from './print-schema.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const ajv = new Ajv({ strict: false, logger: false, validateFormats: false });
const all = ajv.compile(schemaOf(undefined));
const mesh = ajv.compile(schemaOf('mesh'));

const meshTest = ajv.compile(schemaOf('mesh-test'));

const yamlOf = (text: string): unknown => parseDocument(text, { merge: true }).toJS();
const samples = globSync('samples/**/*.yaml', { cwd: root }).map((file) => ({
  file,
  text: readFileSync(join(root, file), 'utf8'),
}));

test('every sample is as its schema says', () => {
  let objects = 0;
  for (const { file, text } of samples.filter((one) => !/mesh(-test)?\.yaml$/.test(one.file)))
    for (const { object } of parseYamlDocuments(text, file).objects) {
      expect(all(object), `${file}: ${ajv.errorsText(all.errors)}`).toBe(true);
      objects++;
    }
  expect(objects).toBeGreaterThan(5);
  const meshFiles = samples.filter((one) => /(^|\/)mesh\.yaml$/.test(one.file));
  for (const { file, text } of meshFiles)
    expect(mesh(yamlOf(text)), `${file}: ${ajv.errorsText(mesh.errors)}`).toBe(true);
  expect(meshFiles.length).toBeGreaterThan(0);
  const testFiles = samples.filter((one) => one.file.endsWith('.mesh-test.yaml'));
  for (const { file, text } of testFiles)
    expect(meshTest(yamlOf(text)), `${file}: ${ajv.errorsText(meshTest.errors)}`).toBe(true);
  expect(testFiles.length).toBeGreaterThan(0);
});

const routes = (spec: unknown) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews' },
  spec,
});

test.each<[string, unknown, boolean]>([
  ['a route', routes({ hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }] }] }), true],
  ['a field that there is not', routes({ hosts: ['a'], htp: [] }), false],
  ['a number where a text belongs', routes({ hosts: [1] }), false],
  ['a value that is none of the choices', routes({ http: [{ redirect: { redirectCode: 'x' } }] }), false],
  ['an object of somebody else', { apiVersion: 'example.com/v1', kind: 'Widget', spec: { any: 1 } }, true],
  ['no kind at all', { apiVersion: 'v1' }, false],
  [
    'a port by number or by name',
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: {
        ports: [
          { port: 80, targetPort: 'http' },
          { port: 81, targetPort: 8081 },
        ],
      },
    },
    true,
  ],
])('%s', (_, object, valid) => {
  expect(all(object), ajv.errorsText(all.errors)).toBe(valid);
});

test.each<[string, boolean]>([
  ['services: {web: {command: node web.js, ports: ["9080:3000/grpc"], restart: "no"}}', true],
  [
    'services: {web: {command: [node, web.js], depends_on: {db: {condition: service_healthy}}}, db: {command: db}}',
    true,
  ],
  ['services: {web: {comand: node web.js}}', false],
  ['services: {web: {command: x, ports: [99999]}}', false],
  ['services: {web: {command: x, restart: sometimes}}', false],
  ['servces: {}', false],
  ['services: {web: {command: x, x-note: {any: 1}}}\ngateways: {edge: {ports: ["80"]}}\nlazy: true', true],
])('mesh file and schema agree: %s', (text, valid) => {
  expect(mesh(yamlOf(text)), ajv.errorsText(mesh.errors)).toBe(valid);
  expect(parseMeshFile(text, '/nowhere/mesh.yaml', {}).ok).toBe(valid);
});

test.each<[string, boolean]>([
  ['tests: [{from: web, request: GET http://api/, expect: {status: 200}}]', true],
  ['tests: [{unreachable: from anyone to ledger}]', true],
  ['tests: [{from: web, request: GET http://api/, expect: {stats: 200}}]', false],
  ['tests: [{from: web, expect: {status: 200}}]', false],
  ['test: []', false],
])('file of tests and schema agree: %s', (text, valid) => {
  expect(meshTest(yamlOf(text)), ajv.errorsText(meshTest.errors)).toBe(valid);
  const directory = mkdtempSync(join(tmpdir(), 'ostria-schema-'));
  try {
    const file = join(directory, 'a.mesh-test.yaml');
    writeFileSync(file, text);
    const read = () => readTestFile(file);
    if (valid) expect(read).not.toThrow();
    else expect(read).toThrow('a.mesh-test.yaml:1:');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('the mesh file’s reader and its schema know the same keys', () => {
  const known = (text: string) => {
    const result = parseMeshFile(text, '/nowhere/mesh.yaml', {});
    const message = result.ok ? '' : (result.problems[0]?.message ?? '');
    return (/known are ([^;]*?)(, and x-…)?$/.exec(message)?.[1] ?? '').split(', ').sort();
  };
  const keys = (schema: unknown) =>
    Object.keys((schema as { properties: object }).properties)
      .filter((key) => key !== 'version' || schema !== top)
      .sort();
  const top = schemaOf('mesh') as { properties: Record<string, { additionalProperties: never }> };
  const service = top.properties.services?.additionalProperties;
  expect(known('unknown: 1')).toEqual(keys(top));
  expect(known('services: {web: {command: x, unknown: 1}}')).toEqual(keys(service));
});

test('a directory holds every kind in each served version', () => {
  const paths = schemaFiles().map(([path]) => path);
  expect(new Set(paths).size).toBe(paths.length);
  expect(paths).toEqual(
    expect.arrayContaining([
      'all.json',
      'mesh.json',
      'mesh-test.json',
      'core/service_v1.json',
      'networking.istio.io/virtualservice_v1.json',
      'networking.istio.io/virtualservice_v1beta1.json',
      'gateway.networking.k8s.io/httproute_v1.json',
    ]),
  );
});
