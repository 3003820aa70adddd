import { describe, expect, test } from 'vitest';
import type { SchemaNode } from '../schema/schema-node.ts';
import { compileCel } from './compile.ts';
import { fromJson } from './json-value.ts';
import type { CelValue } from './value.ts';

function evaluate(text: string, self: unknown = {}, schema?: SchemaNode): CelValue {
  const program = compileCel(text, [{ name: 'self', schema }]);
  return program.evaluate([fromJson(self, schema)], { remaining: 1_000_000 });
}

const thing: SchemaNode = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    namespace: { type: 'string' },
    'a-b.c/d': { type: 'string' },
    port: { 'x-kubernetes-int-or-string': true },
    created: { type: 'string', format: 'date-time' },
    tags: { type: 'array', items: { type: 'string' } },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    child: { type: 'object', properties: { name: { type: 'string' } } },
  },
};

test.each([
  ['1 + 2 * 3 == 7'],
  ['7 / 2 == 3 && 7 % 2 == 1 && 7.0 / 2.0 == 3.5'],
  ['1 == 1.0 && 1u == 1 && 2 > 1.5'],
  ['"a" + "b" == "ab" && b"a" + b"b" == b"ab"'],
  ['[1, 2] + [3] == [1, 2, 3]'],
  ['2 in [1, 2] && "k" in {"k": 1} && !(3 in [1])'],
  ['{"a": 1}.a == 1 && {"a": 1}["a"] == 1 && has({"a": 1}.a) && !has({"a": 1}.b)'],
  ['true || 1 / 0 == 1'],
  ['1 / 0 == 1 || true'],
  ['!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)'],
  ['[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x == 1)'],
  ['[0, 1].exists(x, 1 / x == 1)'],
  ['[1, 2, 3].filter(x, x > 1).map(x, x * 2) == [4, 6]'],
  ['[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]'],
  ['{"a": 1, "b": 2}.all(k, k in ["a", "b"])'],
  ['{"a": 1}.all(k, v, k == "a" && v == 1) && [5].all(i, v, i == 0 && v == 5)'],
  ['{"a": 1}.transformMap(k, v, v + 1) == {"a": 2}'],
  ['cel.bind(x, 20, x + x) == 40'],
  ['size("añb") == 3 && "añb".size() == 3 && [1].size() == 1'],
  ['"a,b,c".split(",") == ["a", "b", "c"] && "a,b,c".split(",", 2) == ["a", "b,c"]'],
  ['"hello".substring(1, 3) == "el" && "hello".charAt(4) == "o" && "hello".indexOf("l") == 2'],
  ['"hello".lastIndexOf("l") == 3 && "Hé".lowerAscii() == "hé" && " a ".trim() == "a"'],
  ['"aaa".replace("a", "b", 2) == "bba" && ["a", "b"].join("-") == "a-b"'],
  ['"%s is %d, %.1f".format(["x", 3, 1.5]) == "x is 3, 1.5"'],
  ['"abc123".matches("^[a-z]+\\\\d+$") && matches("ABC", "(?i)abc")'],
  ['"a1b22".find("[0-9]+") == "1" && "a1b22".findAll("[0-9]+") == ["1", "22"]'],
  ['duration("1h30m") == duration("90m") && duration("1ms") < duration("1s")'],
  ['timestamp("2024-02-29T12:00:00Z") + duration("24h") == timestamp("2024-03-01T12:00:00Z")'],
  [
    'timestamp("2024-02-29T12:00:00Z").getMonth() == 1 && timestamp("2024-02-29T23:00:00Z").getDate("+02:00") == 1',
  ],
  ['int("42") == 42 && double("1.5") == 1.5 && string(42) == "42" && int(3.9) == 3'],
  ['type(1) == int && type("") == string && type([]) == list && type(null) == null_type'],
  [
    'isURL("https://a.b:80/c?d=e") && url("https://a.b:80/c?d=e").getHostname() == "a.b" && url("https://a.b:80/c").getPort() == "80"',
  ],
  ['!isURL("a b") && !isURL("http://#%blah$#@") && url("/x").getScheme() == ""'],
  ['isIP("::1") && !isIP("1.2.3") && ip("127.0.0.1").isLoopback() && ip("::1").family() == 6'],
  [
    'cidr("10.0.0.0/8").containsIP("10.1.1.1") && isCIDR("10.0.0.0/8") && cidr("10.0.0.0/8").prefixLength() == 8',
  ],
  [
    'quantity("1.5Gi").isGreaterThan(quantity("1G")) && quantity("500m").add(quantity("0.5")).asInteger() == 1',
  ],
  ['isQuantity("10Ki") && !isQuantity("10KB") && quantity("1k").compareTo(quantity("1000")) == 0'],
  ['!format.dns1123Label().validate("ok-1").hasValue() && format.dns1123Label().validate("No").hasValue()'],
  ['[1, 2, 3].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3'],
  ['sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])'],
  ['optional.of(1).hasValue() && optional.none().orValue(2) == 2 && {"a": {"b": 1}}.?a.?b.orValue(0) == 1'],
  [
    '{"a": 1}.?b.hasValue() == false && [1][?5].orValue(9) == 9 && optional.of(2).optMap(x, x * 2).value() == 4',
  ],
])('%s', (text) => {
  expect(evaluate(text)).toBe(true);
});

describe('objects with a schema', () => {
  const value = {
    name: 'n',
    count: 3,
    ratio: 2,
    namespace: 'ns',
    'a-b.c/d': 'odd',
    port: 80,
    created: '2024-01-01T00:00:00Z',
    tags: ['x'],
    labels: { 'app.io/k': 'v' },
    child: {},
  };

  test.each([
    ['self.count + 1 == 4'],
    ['self.ratio / 4.0 == 0.5'],
    ['self.__namespace__ == "ns" && self.a__dash__b__dot__c__slash__d == "odd"'],
    ['self.port == 80'],
    ['self.created < timestamp("2025-01-01T00:00:00Z")'],
    ['self.tags[0] == "x" && self.labels["app.io/k"] == "v"'],
    ['has(self.child) && !has(self.child.name)'],
    ['self.?child.?name.orValue("none") == "none"'],
    ['self == self && self.child != self'],
  ])('%s', (text) => {
    expect(evaluate(text, value, thing)).toBe(true);
  });
});

test.each([
  ['self.', 'got EOF'],
  ['self.nope == 1', "undefined field 'nope'"],
  ['self.child.nope == 1', "undefined field 'nope'"],
  ['self.tags.all(t, t.nope)', "undefined field 'nope'"],
  ['other == 1', "undeclared reference to 'other'"],
  ['foo(1)', "undeclared function 'foo'"],
  ['self.name.constructor()', "undeclared function 'constructor'"],
  ['size(1, 2, 3)', 'takes 1 argument(s)'],
])('%s does not compile', (text, message) => {
  const schema: SchemaNode = {
    ...thing,
    properties: { ...thing.properties, tags: { type: 'array', items: { type: 'object', properties: {} } } },
  };
  expect(() => compileCel(text, [{ name: 'self', schema }])).toThrow(message);
});

test.each([
  ['1 / 0', 'division by zero'],
  ['9223372036854775807 + 1', 'integer overflow'],
  ['1 + "a"', 'no such overload'],
  ['[1][3]', 'index out of range'],
  ['{"a": 1}.b', 'no such key'],
  ['"a" < 1', 'have no order'],
  ['"a".matches("(")', 'not an RE2 expression'],
  ['duration("1 day")', 'is not a duration'],
])('%s fails', (text, message) => {
  expect(() => evaluate(text)).toThrow(message);
});

test('a budget ends long loops and large texts', () => {
  const list = new Array(2000).fill('abcdefghij');
  expect(() => evaluate('self.all(a, self.all(b, a == b))', list)).toThrow('more work than allowed');
  const doubling = `${'cel.bind(x, '.repeat(1)}"aaaaaaaaaa", ${'x + '.repeat(200)}x).size() > 0`;
  expect(evaluate(doubling)).toBe(true);
});
