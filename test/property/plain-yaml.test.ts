import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Composer, Parser } from 'yaml';
import { readPlainYaml } from '../../src/config/plain-yaml.ts';
import { composeOptions } from '../../src/config/yaml-positions.ts';
import { defaultValueLimits, toJsonValue } from '../../src/config/yaml-value.ts';
import { Random } from '../../src/snapshot/engine/testing/random.ts';
import { root } from '../support/ostria.ts';
import { nightly, seed } from '../support/properties.ts';

/** What the whole parser makes of one document. */
function whole(text: string): { value: unknown; problems: string[] } {
  const documents = [...new Composer(composeOptions).compose(new Parser().parse(text))];
  const problems: string[] = documents.flatMap(({ errors }) => errors.map(({ message }) => message));
  if (documents.length !== 1) problems.push(`${documents.length} documents`);
  const [document] = documents;
  const value =
    document && toJsonValue(document as never, defaultValueLimits, (_, code) => problems.push(code));
  return { value, problems };
}

const files = globSync(['samples/**/*.yaml', 'src/features/**/testdata/**/in.yaml'], { cwd: root }).sort();
const documents = files.flatMap((file) =>
  readFileSync(join(root, file), 'utf8')
    .split(/^(?=---$)/m)
    .filter((text) => text.length < 4000),
);

const written: readonly [string, string][] = [
  [
    'an object',
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews # a name\n  labels: {app: "a: b", \'x\': y}\nspec:\n  hosts: [reviews, "*.x"]\n  http:\n  - match:\n    - uri: {prefix: /a}\n      headers:\n        end-user: {exact: jason}\n    route:\n    - destination: {host: reviews, port: {number: 9080}}\n      weight: 90\n\n    timeout: 0.5s\n  -   route: []\n',
  ],
  ['a map', 'a: 1\nb: [x, "y z", {c: d}]\n'],
  ['a list as far left as its key', 'a:\n- b: 1\n  c:\n  - 2\n-   d: x # comment\n    e:\nf: g\n'],
  [
    'texts that look like something else',
    'a: http://x:80/y#z\nb: "#"\nc: \'it\'\'s\'\nd: "a\\"b\\n"\ne: 10:30\n',
  ],
  ['words of YAML 1.1', 'on: yes\n1: ~\nn: null\nx: 0x10\nt: 2026-01-01\n'],
  ['comments and blank lines', '# first\n\n---\n# more\na: # nothing\n  # deep\n  b: 1\n'],
  [
    'block scalars',
    'a: |\n  one\n   two # no comment\n\n  three\nb: >-\n  folded\n  text\n\n  more\nc:\n- |+\n  kept\n\n- >-\n\n  x\n\n   deeper\n\n  y\n\n\n',
  ],
  [
    'texts of several lines',
    'a: one\n  two\n\n  three\nb: "x\n  y\n\n  z"\nc: \'it\n  goes\'\nd: [a b,\n  c]\n',
  ],
  ['JSON', '{"apiVersion": "v1", "data": {"a": [1, true, null, "\\u00e9\\n"]},\n "b": -1.5e3}\n'],
  ['signs in texts', 'a: --flag=1\nb: -5\nc: [-5, -x, a:b, /p/*]\n'],
];

test.each(written)('%s is read as by the whole parser', (_, text) => {
  const { value, problems } = whole(text);
  expect(problems).toEqual([]);
  expect(readPlainYaml(text, 200)?.value).toEqual(value);
});

test('most documents that people write are read, and as by the whole parser', () => {
  expect(documents.length).toBeGreaterThan(500);
  const read = documents.filter((text) => {
    const plain = readPlainYaml(text, 200);
    if (plain) expect(plain.value, text).toEqual(whole(text).value);
    return plain !== undefined;
  });
  expect(read.length).toBeGreaterThan(documents.length / 2);
});

const odd = [
  ...'"\'{}[],:#&*!|>%@`-? \n\\~.<=',
  ': ',
  ' #',
  '- ',
  '---',
  '\n  ',
  "''",
  '\\n',
  'é',
  '\u00a0',
  'yes',
];

/** A text with a few things put in, taken out or moved. */
function spoil(random: Random, text: string): string {
  let spoiled = text;
  for (let count = 1 + random.below(3); count > 0; count--) {
    const at = random.below(spoiled.length + 1);
    const length = random.below(random.chance(0.8) ? 3 : 20);
    const put = random.chance(0.7) ? random.pick(odd) : spoiled.slice(at, at + random.below(30));
    spoiled = spoiled.slice(0, at) + put + spoiled.slice(at + (random.chance(0.5) ? length : 0));
  }
  return spoiled;
}

test('what is read of spoiled documents is what the whole parser reads, without a complaint', {
  timeout: 900_000,
}, () => {
  const random = new Random(seed);
  // By day the texts are these, whatever files come and go: what fails is then a matter of a change.
  const texts = nightly ? documents : written.map(([, text]) => text);
  let read = 0;
  for (let run = 0; run < (nightly ? 300_000 : 5000); run++) {
    const text = spoil(random, random.pick(texts));
    const plain = readPlainYaml(text, 200);
    if (!plain) continue;
    read++;
    const { value, problems } = whole(text);
    expect(problems, JSON.stringify(text)).toEqual([]);
    expect(plain.value, JSON.stringify(text)).toEqual(value);
  }
  expect(read).toBeGreaterThan(100);
});
