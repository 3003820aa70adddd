import { describe, expect, test } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import { parseYamlDocuments } from './yaml-documents.ts';
import { resolvePlainScalar } from './yaml-value.ts';

const head = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;

function parse(text: string | Uint8Array) {
  return parseYamlDocuments(text, 'mesh.yaml');
}

function data(text: string): unknown {
  const { objects, problems } = parse(`${head('a')}data:\n${text}`);
  expect(problems).toEqual([]);
  return objects[0]?.object.data;
}

function onlyProblem(text: string | Uint8Array) {
  const { problems } = parse(text);
  expect(problems).toHaveLength(1);
  return problems[0];
}

describe('scalars as kubectl reads them', () => {
  // Expected values were taken from the behaviour of sigs.k8s.io/yaml 1.4.
  test.each<[string, unknown]>([
    ['1234:1f1:123::/32', '1234:1f1:123::/32'],
    ['2001:db8::1', '2001:db8::1'],
    ['::1', '::1'],
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['1:30', '1:30'],
    ['12:30:45', '12:30:45'],
    ['2001-01-01', '2001-01-01'],
    ['yes', true],
    ['No', false],
    ['on', true],
    ['OFF', false],
    ['y', true],
    ['yEs', 'yEs'],
    ['~', null],
    ['null', null],
    ['', null],
    ['1_000', 1000],
    ['0x1F', 31],
    ['-0x10', -16],
    ['0o17', 15],
    ['017', 15],
    ['08', 8],
    ['0b101', 5],
    ['+7', 7],
    ['1e3', 1000],
    ['.5', 0.5],
    ['1.', 1],
    ['1.2.3', '1.2.3'],
    ['-', '-'],
    ['.', '.'],
    ['0x', '0x'],
    ['v1', 'v1'],
  ])('%s', (source, value) => {
    expect(resolvePlainScalar(source)).toEqual(value);
  });

  test('quotes and !!str keep text; IPv6 stays text in every style', () => {
    expect(
      data(
        '  a: "yes"\n  b: \'1\'\n  c: !!str 5\n  d: 1234:1f1:123::/32\n  e: [1234:1f1:123::/32, ::1, 80]\n  f: {g: fe80::1}\n  on: |\n    12\n',
      ),
    ).toEqual({
      a: 'yes',
      b: '1',
      c: '5',
      d: '1234:1f1:123::/32',
      e: ['1234:1f1:123::/32', '::1', 80],
      f: { g: 'fe80::1' },
      true: '12\n',
    });
  });

  test('infinity, unknown tags and !!binary are refused', () => {
    for (const [value, code, column] of [
      ['.inf', 'YamlNumber', 6],
      ['!Ref x', 'YamlTag', 11],
      ['!!binary aGk=', 'YamlTag', 15],
    ]) {
      expect(onlyProblem(`${head('a')}data:\n  x: ${value}\n`)).toMatchObject({
        code,
        line: 6,
        column,
      });
    }
  });
});

describe('documents', () => {
  test('several, empty ones, comments, lists and typed lists', () => {
    const text = `# head\n---\n${head('a')}---\n---\n# nothing\n---\n${head('b')}...\n---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: c}
---
apiVersion: v1
kind: ServiceList
items:
- metadata:
    name: d
`;
    const { objects, problems } = parse(text);
    expect(problems).toEqual([]);
    expect(objects.map(({ object }) => `${object.kind} ${object.metadata.name}`)).toEqual([
      'ConfigMap a',
      'ConfigMap b',
      'ConfigMap c',
      'Service d',
    ]);
    expect(objects.map(({ positions }) => positions.at('metadata.name'))).toEqual(
      [
        [6, 3],
        [14, 3],
        [22, 14],
        [28, 5],
      ].map(([line, column]) => ({ file: 'mesh.yaml', line, column })),
    );
  });

  test('JSON, CRLF, byte order mark, directives', () => {
    expect(
      parse('\uFEFF{"apiVersion":"v1",\n\t"kind":"ConfigMap","metadata":{"name":"a"}}').objects,
    ).toHaveLength(1);
    const crlf = parse(`${head('a')}---\n${head('b')}`.replaceAll('\n', '\r\n'));
    expect(crlf.objects.map((o) => o.object.metadata.name)).toEqual(['a', 'b']);
    expect(crlf.objects[1]?.positions.at('kind').line).toBe(7);
    const directive = parse(`${head('a')}...\n%YAML 1.1\n---\n${head('b')}`);
    expect(directive.problems).toEqual([]);
    expect(directive.objects[1]?.positions.at('metadata.name').line).toBe(11);
  });

  test('anchors and merge keys', () => {
    expect(data('  base: &b {x: "1", y: "2"}\n  c:\n    <<: *b\n    x: "3"\n  d: *b\n')).toEqual({
      base: { x: '1', true: '2' },
      c: { x: '3', true: '2' },
      d: { x: '1', true: '2' },
    });
  });
});

describe('positions', () => {
  const text = `---\napiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  annotations:
    example.com/owner: me
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
      weight: 10
`;
  test.each([
    ['', 2, 1],
    ['spec.http[0].route[0].weight', 13, 7],
    ['spec.http[0].route[0].destination.host', 12, 21],
    ['spec.http[0].route[0].nothing.more', 12, 7],
    ['spec.http[4]', 10, 3],
    ['spec.hosts[0]', 9, 11],
    ['metadata.annotations.example.com/owner', 7, 5],
    ['metadata.annotations[example.com/owner]', 7, 5],
    ['metadata.annotations["example.com/owner"]', 7, 5],
    ['unknown', 2, 1],
  ])('%s', (path, line, column) => {
    const [found] = parse(text).objects;
    expect(found?.positions.at(path)).toEqual({ file: 'mesh.yaml', line, column });
  });

  test('follow a document that moved, which keeps its object', () => {
    const first = parse(`${head('a')}---\n${head('b')}`);
    const [, b] = first.objects;
    const second = parseYamlDocuments(`# one\n# two\n${head('x')}---\n${head('b')}`, 'mesh.yaml', {
      reuse: first.chunks,
    });
    expect(second.objects[1]?.object).toBe(b?.object);
    expect(b?.positions.at('kind').line).toBe(9);
  });
});

describe('bad input', () => {
  test('syntax errors name the place and the cure', () => {
    expect(onlyProblem(`${head('a')}---\n${head('b')}data: {x: [1, 2}\n`)).toMatchObject({
      code: 'YamlSyntax',
      file: 'mesh.yaml',
      line: 10,
    });
    const tab = parse(`${head('a')}data:\n\tx: 1\n`).problems[0];
    expect(tab).toMatchObject({ code: 'YamlSyntax', line: 6 });
    expect(tab?.message).toContain('tab');
    expect(parse(`${head('a')}data:\n  a: b: c\n`).problems[0]).toMatchObject({ line: 6 });
  });

  test('duplicate keys', () => {
    expect(onlyProblem(`${head('a')}data:\n  x: 1\n  x: 2\n`)).toMatchObject({
      code: 'YamlDuplicateKey',
      line: 7,
      column: 3,
    });
  });

  test('__proto__ changes no prototype', () => {
    expect(onlyProblem(`${head('a')}data:\n  __proto__: {polluted: true}\n`)?.code).toBe('YamlKey');
  });

  test('cyclic anchors', () => {
    expect(onlyProblem(`${head('a')}data: &x\n  y: [*x]\n`)).toMatchObject({
      code: 'YamlAliasCycle',
      line: 6,
      column: 7,
    });
    expect(onlyProblem(`${head('a')}data:\n  y: *nobody\n`)?.code).toBe('YamlAlias');
  });

  test('alias bombs end quickly', () => {
    let bomb = `${head('a')}data:\n  a0: &a0 [lol, lol, lol]\n`;
    for (let i = 1; i < 30; i++)
      bomb += `  a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]\n`;
    expect(onlyProblem(bomb)?.code).toBe('YamlAliasLimit');
  });

  test('a kilobyte of aliases is refused after few values, however short they are', () => {
    const pairs = Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`);
    const bomb = `${head('a')}a0: &a0 [x, x]\n${pairs.join('\n')}`;
    expect(bomb.length).toBeLessThan(1_024);
    expect(onlyProblem(bomb)?.message).toMatch(/^aliases repeat more than 5\d{4} values/);
  });

  test('who writes much may repeat much', () => {
    const anchor = `base: &base {${Array.from({ length: 100 }, (_, i) => `key${i}: value${i}`).join(', ')}}`;
    const uses = Array.from({ length: 150 }, (_, i) => `use${i}: {<<: *base, own: ${i}}`);
    expect(data(`  ${[anchor, ...uses].join('\n  ')}\n`)).toMatchObject({
      use149: { key99: 'value99', own: 149 },
    });
  });

  test('absurd nesting', () => {
    expect(onlyProblem(`${head('a')}data: ${'['.repeat(300)}${']'.repeat(300)}\n`)?.code).toBe('YamlTooDeep');
    expect(onlyProblem(`${head('a')}data: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`)?.code).toBe(
      'YamlTooDeep',
    );
  });

  test('invalid UTF-8 names the byte', () => {
    const bytes = Buffer.concat([
      Buffer.from(head('a')),
      Buffer.from('data:\n  x: é'),
      Buffer.from([0xc3, 0x28]),
    ]);
    expect(onlyProblem(bytes)).toMatchObject({ code: 'YamlEncoding', line: 6 });
    expect(onlyProblem(bytes)?.message).toContain(`offset ${bytes.length - 2}`);
    expect(onlyProblem(Buffer.from('\uFEFFa', 'utf16le'))?.message).toContain('UTF-16');
  });

  test('the named byte is where a decoder stops, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const { problems } = parse(bytes);
        const encoding = problems.find((problem) => problem.code === 'YamlEncoding');
        const strict = new TextDecoder('utf-8', { fatal: true });
        const valid = (end: number) => {
          try {
            strict.decode(bytes.subarray(0, end), { stream: true });
            strict.decode();
            return true;
          } catch {
            return false;
          }
        };
        if (encoding?.message.includes('UTF-16')) return;
        expect(encoding === undefined).toBe(valid(bytes.length));
        const offset = /offset (\d+)/.exec(encoding?.message ?? '')?.[1];
        if (offset !== undefined) expect(valid(Number(offset))).toBe(true);
      }),
    );
  });

  test('control characters, sizes, and things that are no objects', () => {
    expect(onlyProblem(`${head('a')}data: {x: "\u0001"}\n`)).toMatchObject({ line: 5, column: 12 });
    expect(parseYamlDocuments(head('a'), 'f', { limits: { bytes: 10 } }).problems[0]?.code).toBe(
      'YamlTooLarge',
    );
    const many = Array.from({ length: 11 }, (_, i) => head(`a${i}`)).join('---\n');
    expect(parseYamlDocuments(many, 'f', { limits: { objects: 10 } })).toMatchObject({
      objects: [],
      problems: [{ code: 'YamlTooManyObjects', line: 50 }],
    });
    for (const text of ['just text', '- 1\n- 2\n', 'kind: A\n', 'apiVersion: v1\nkind: A\n', head('12')]) {
      expect(onlyProblem(text)?.code).toBe('YamlNotAnObject');
    }
  });

  test('never throws, whatever the text', () => {
    const piece = fc.constantFrom(
      '---\n',
      'a: ',
      '- ',
      '\n',
      '  ',
      '&x ',
      '*x',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|\n',
      '!!int ',
      'kind: List\n',
      'items:\n',
      '%YAML 1.1\n',
      '...\n',
      '<<: ',
      '? ',
      '#',
      '\t',
      'x',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const { problems } = parse(pieces.join(''));
        for (const problem of problems) expect(problem.line).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

test('10,000 objects are read in a few seconds', () => {
  const text = Array.from(
    { length: 10_000 },
    (_, i) => `${head(`a${i}`)}data:\n  x: "1"\n  y: [a, b, c]\n`,
  ).join('---\n');
  const { objects, problems, chunks } = parse(text);
  expect(problems).toEqual([]);
  expect(objects).toHaveLength(10_000);
  const again = parseYamlDocuments(text, 'mesh.yaml', { reuse: chunks });
  expect(again.objects.every((parsed, i) => parsed.object === objects[i]?.object)).toBe(true);
});
