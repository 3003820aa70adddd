// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDuration } from './duration.ts';
import { interpolate } from './interpolate.ts';
import type { MeshFile } from './mesh-file.ts';
import { parseMeshFile, readMeshFile } from './parse-mesh-file.ts';
import { splitCommand } from './split-command.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-mesh-file-'));
  mkdirSync(join(directory, 'networking'));
  writeFileSync(join(directory, 'more.env'), 'FROM_FILE=yes\nBOTH=file\n');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function parse(text: string, environment: Record<string, string> = {}) {
  return parseMeshFile(text, join(directory, 'mesh.yaml'), environment);
}

function mesh(text: string, environment: Record<string, string> = {}): MeshFile {
  const result = parse(text, environment);
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 1));
  return result.mesh;
}

/** `line:column message` of each problem. */
function problems(text: string, environment: Record<string, string> = {}): string[] {
  const result = parse(text, environment);
  return result.ok ? [] : result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test.each([
  'serve --port=$$PORT',
  'serve $PORT',
  '[serve, "127.0.0.1:${PORT}"]',
  "[sh, -c, 'exec serve $PORT']",
])('%s would never get its port, which is told', (command) => {
  const result = parseMeshFile(`services: {web: {command: ${command}}}`, '/m/mesh.yaml', {});
  expect(result.ok ? [] : result.problems.map(({ message }) => message)).toEqual([
    expect.stringContaining('command has $PORT, which is set when the program starts'),
  ]);
});

test.each([
  ["[sh, -c, 'exec serve $$PORT']", {}],
  ["sh -c 'exec serve $$PORT'", {}],
  ['serve $PORT', { PORT: '80' }],
  ['"serve ${PORT:-80}"', {}],
  ['[php, -r, "$$PORT = 1;"]', {}],
])('%s is taken as it is meant', (command, environment) => {
  expect(parseMeshFile(`services: {web: {command: ${command}}}`, '/m/mesh.yaml', environment).ok).toBe(true);
});

test('every default is filled in', () => {
  const { name, workloads, gateways, apply } = mesh(
    'name: demo\nservices:\n  web:\n    command: node web.js\n    ports: [80]\n',
  );
  expect(name).toBe('demo');
  expect(apply).toEqual([]);
  expect(workloads).toEqual([
    {
      name: 'web',
      service: 'web',
      version: 'v1',
      namespace: 'default',
      labels: { app: 'web', version: 'v1' },
      serviceAccount: 'web',
      command: ['node', 'web.js'],
      environment: {},
      workingDirectory: directory,
      ports: [{ name: 'http', port: 80, protocol: 'http' }],
      replicas: 1,
      dependsOn: [],
      restart: { when: 'always' },
      profiles: [],
    },
  ]);
  expect(gateways).toMatchObject([
    { name: 'istio-ingressgateway', namespace: 'istio-system', labels: { istio: 'ingressgateway' } },
  ]);
});

test('keys of the Compose specification and ours', () => {
  const [web, base] = mesh(
    `
x-common: &common
  restart: on-failure:3
  env_file: more.env
services:
  web-v2:
    <<: *common
    service: web
    version: v2
    namespace: shop
    serviceAccount: shop-web
    labels: { tier: front }
    command: [node, 'a b.js', "\${ARG:-none}"]
    environment: [BOTH=own, TAKEN, "DOLLAR=$$5"]
    working_dir: networking
    ports: ["9080:3000", { name: grpc-api, target: 7000, protocol: grpc }, "6379/redis"]
    deploy: { replicas: 1 }
    depends_on: { base: { condition: service_healthy } }
    healthcheck: { test: [HTTP, /health], interval: 500ms, timeout: 1m30s, retries: 5, start_period: 2s }
    profiles: [big]
  base:
    command: "sh -c 'sleep 1'"
    environment: { A: 1.10, TAKEN: }
    scale: 3
`,
    { TAKEN: 'from outside' },
  ).workloads;
  expect(web).toEqual({
    name: 'web-v2',
    service: 'web',
    version: 'v2',
    namespace: 'shop',
    serviceAccount: 'shop-web',
    labels: { app: 'web', version: 'v2', tier: 'front' },
    command: ['node', 'a b.js', 'none'],
    environment: { FROM_FILE: 'yes', BOTH: 'own', TAKEN: 'from outside', DOLLAR: '$5' },
    workingDirectory: join(directory, 'networking'),
    ports: [
      { name: 'http', port: 9080, protocol: 'http', target: 3000 },
      { name: 'grpc-api', port: 7000, protocol: 'grpc' },
      { name: 'redis', port: 6379, protocol: 'redis' },
    ],
    replicas: 1,
    dependsOn: [{ name: 'base', condition: 'service_healthy' }],
    healthcheck: {
      test: { type: 'http', path: '/health' },
      intervalMs: 500,
      timeoutMs: 90_000,
      retries: 5,
      startPeriodMs: 2_000,
    },
    restart: { when: 'on-failure', max: 3 },
    profiles: ['big'],
  });
  expect(base).toMatchObject({
    command: ['sh', '-c', 'sleep 1'],
    environment: { A: '1.10', TAKEN: 'from outside' },
    replicas: 3,
  });
});

test('what is spoken on a port: a word after it, or a key, Compose’s own of both, or the name as in Kubernetes', () => {
  const [web] = mesh(`
services:
  web:
    command: a
    ports:
    - "2181/zookeeper"
    - { published: 5432, app_protocol: postgres }
    - { published: 9090, app_protocol: thrift, protocol: tcp }
    - { published: 7000, protocol: auto, name: anything }
    - { published: 7001, name: tcp }
    - { published: 7002, name: grpc-web-orders }
    - { published: 7003, name: tcpdump }
`).workloads;
  expect(web?.ports).toEqual([
    { name: 'zookeeper', port: 2181, protocol: 'zookeeper' },
    { name: 'postgres', port: 5432, protocol: 'postgres' },
    { name: 'thrift', port: 9090, protocol: 'thrift' },
    { name: 'anything', port: 7000, protocol: 'auto' },
    { name: 'tcp', port: 7001, protocol: 'tcp' },
    { name: 'grpc-web-orders', port: 7002, protocol: 'grpc-web' },
    { name: 'tcpdump', port: 7003, protocol: 'http' },
  ]);
});

test('refusals explain themselves unless told not to', () => {
  const text = 'services: { a: { command: run } }\n';
  expect(mesh(text).explainRefusals).toBe(true);
  expect(mesh(`explainRefusals: false\n${text}`).explainRefusals).toBe(false);
  expect(problems(`explainRefusals: perhaps\n${text}`)).toHaveLength(1);
});

test('how much of the past is kept', () => {
  const text = 'services: {web: {command: web}}';
  expect(mesh(text).history).toEqual({});
  const limits = { maxMiB: 0, maxDays: 30, maxChanges: 5 };
  expect(mesh(`history: {maxMiB: 0, maxDays: 30, maxChanges: 5}\n${text}`).history).toEqual(limits);
  expect(problems(`history: {maxDays: 0, days: 3}\n${text}`)).toEqual([
    expect.stringContaining('history.maxDays must be a whole number from 1 to 36500'),
    expect.stringContaining('history has the unknown key days; known are maxMiB, maxDays, maxChanges'),
  ]);
});

test('sidecars may be lazy', () => {
  const text = 'services: {web: {command: a}}';
  expect(mesh(text).lazy).toBe(false);
  expect(mesh(`lazy: true\n${text}`).lazy).toBe(true);
  expect(problems(`lazy: perhaps\n${text}`)).toHaveLength(1);
});

test('gateways and configuration to apply', () => {
  const { gateways, apply } = mesh(`
apply: networking
gateways:
  edge: { labels: { istio: edge }, ports: ["18080:8080", 443] }
services: { a: { command: a } }
`);
  expect(apply).toEqual([join(directory, 'networking')]);
  expect(gateways).toEqual([
    {
      name: 'edge',
      namespace: 'istio-system',
      labels: { app: 'edge', istio: 'edge' },
      serviceAccount: 'edge-service-account',
      ports: [
        { name: 'http-8080', port: 8080, published: 18080 },
        { name: 'https', port: 443 },
      ],
    },
  ]);
  expect(mesh('gateways: {}\nservices: { a: { command: a } }').gateways).toEqual([]);
});

describe('what is wrong is named with its place, and how to mend it', () => {
  test.each([
    ['services: [', /^1:12 is not YAML/],
    ['services: { a: { command: a } }\n---\nkind: Service', /^2:1 describes one mesh, and here a second/],
    [
      'a: 1',
      /^1:1 the key a is unknown; known are allowFetch, apply, explainRefusals, gateways, history, ipFamilies, lazy, name, services, trustDomain/,
    ],
    ['name: x', /^1:1 a mesh file needs services/],
    [
      'services:\n  web: { image: nginx, command: a }',
      /^2:10 services.web: image has no meaning here. Ostria runs processes/,
    ],
    ['services:\n  web: { commnd: a }', /^2:10 services.web has the unknown key commnd; known are command/],
    ['services:\n  web: {}', /^2:8 services.web has no command/],
    ['services:\n  Web: { command: a }', /^2:3 the name of a service "Web" is not a DNS label/],
    ['services:\n  web:\n    command: a\n    ports: ["x"]', /^4:13 "x" is not a port: write 9080/],
    [
      'services:\n  web:\n    command: a\n    ports: ["80/soap"]',
      /^4:13 the protocol soap is unknown; known are http, http2/,
    ],
    [
      'services:\n  web:\n    command: a\n    ports: [{ published: 80, app_protocol: udp }]',
      /^4:44 sidecars carry no UDP/,
    ],
    ['services:\n  web:\n    command: a\n    ports: [80, 80]', /^4:17 port 80 is listed twice/],
    ['services:\n  web:\n    command: "a \'b"', /^3:14 command has a quote that does not end/],
    [
      'services:\n  web:\n    command: a\n    replicas: many',
      /^4:15 replicas must be a whole number from 0 to 100/,
    ],
    [
      'services:\n  web:\n    command: a\n    replicas: 2\n    ports: ["80:81"]',
      /2 replicas, but its program insists on one port/,
    ],
    ['services:\n  web:\n    command: a\n    restart: sometimes', /^4:14 restart must be "no", always/],
    [
      'services:\n  web:\n    command: a\n    depends_on: [db]',
      /depends on db, which is not there; known are web/,
    ],
    [
      'services:\n  a: { command: a, depends_on: [b] }\n  b: { command: b, depends_on: [a] }',
      /circle: a → b → a/,
    ],
    [
      'services:\n  a: { command: a, service: s, ports: [80] }\n  b: { command: b, service: s, ports: [81] }',
      /both of service s, but their ports differ/,
    ],
    [
      'services:\n  web:\n    command: a\n    healthcheck: { test: [PING] }',
      /^4:26 healthcheck.test must be \[CMD/,
    ],
    [
      'services:\n  web:\n    command: a\n    healthcheck: { interval: soon, test: a }',
      /must be a duration such as 500ms/,
    ],
    ['services:\n  web:\n    command: "${NEEDED:?set it}"', /environment variable NEEDED is needed: set it/],
    ['services:\n  web:\n    command: "a ${"', /has a \$ that begins no variable/],
    ['services:\n  web:\n    command: a\n    env_file: absent.env', /^4:15 env_file .* cannot be read/],
    ['services:\n  web:\n    command: a\n    working_dir: absent', /is not a directory/],
    ['apply: absent\nservices: { a: { command: a } }', /^1:8 apply names .*, which does not exist/],
    ['ipFamilies: [IPv5]\nservices: { a: { command: a } }', /^1:14 ipFamilies must be one of IPv4, IPv6/],
    ['ipFamilies: [IPv6, IPv6]\nservices: { a: { command: a } }', /each once/],
    ['services:\n  a: &a { command: a }\n  a: *a', /is not YAML: Map keys must be unique/],
  ])('%j', (text, expected) => {
    const found = problems(text);
    expect(found.join('\n')).toMatch(expected);
    expect(found.length).toBeLessThanOrEqual(2);
  });

  test('an absent file', () => {
    const result = readMeshFile(join(directory, 'none.yaml'));
    expect(result).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining('does not exist') }],
    });
  });
});

test('interpolation follows Compose', () => {
  const environment = { SET: 'x', EMPTY: '' };
  const value = (text: string) => interpolate(text, environment);
  expect(value('$SET-${SET}-$$SET')).toEqual({ value: 'x-x-$SET' });
  expect(value('${UNSET:-a}${UNSET-b}${EMPTY:-c}${EMPTY-d}')).toEqual({ value: 'abc' });
  expect(value('${SET:+y}${EMPTY:+z}${EMPTY+e}')).toEqual({ value: 'ye' });
  expect(value('$UNSET')).toEqual({ value: '' });
  expect(value('${UNSET:?why}')).toMatchObject({ error: expect.stringContaining('why') });
});

test('durations and command lines', () => {
  expect(['1m30s', '500ms', '2.5s', '1h', '0s', '5', 's', '', '-1s'].map(parseDuration)).toEqual([
    90_000,
    500,
    2_500,
    3_600_000,
    0,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(splitCommand(`a "b \\"c" 'd e'f \\ g ''`)).toEqual(['a', 'b "c', 'd ef', ' g', '']);
  expect(splitCommand('a "b')).toBeUndefined();
});
