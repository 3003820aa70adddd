import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import type { Conditions } from './conditions.ts';
import {
  type Alphabet,
  authorityAlphabet,
  methodAlphabet,
  pathAlphabet,
  textClasses,
  valueAlphabet,
} from './text-classes.ts';
import type { TextCondition } from './text-condition.ts';

/** Values that stand for all that a configuration can tell apart, and whether some were left out. */
export interface Values<T> {
  readonly values: readonly T[];
  readonly cut: boolean;
}

const commonMethods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT'];
/** Tokens that are tried, at most. */
const mostTokens = 64;
/** Issued by somebody whom no rule names. */
export const strangeIssuer = 'https://issuer.example';
/** An audience that no rule names. */
const strangeAudience = 'elsewhere';

function classes(
  conditions: Iterable<TextCondition>,
  alphabet: Alphabet,
  usual: readonly string[],
): Values<string> {
  const all = [...conditions];
  const samples = [...usual, ...all.flatMap((one) => one.samples)];
  const { texts, cut } = textClasses(
    all.map(({ automaton }) => automaton),
    alphabet,
    samples,
  );
  return {
    values: texts,
    cut: cut || all.some(({ automaton }) => 'overflowed' in automaton && automaton.overflowed),
  };
}

export function pathValues(conditions: Iterable<TextCondition>): Values<string> {
  const { values, cut } = classes(conditions, pathAlphabet, ['/']);
  return { values: values.toSorted((a, b) => a.length - b.length), cut };
}

/** GET, and one more for each condition that GET does not decide. */
export function methodValues({ methods }: Conditions): Values<string> {
  if (methods.size === 0) return { values: ['GET'], cut: false };
  return classes(methods.values(), methodAlphabet, commonMethods);
}

export function authorityValues(
  conditions: Iterable<TextCondition>,
  usual: readonly string[],
): Values<string> {
  return classes(conditions, authorityAlphabet, usual);
}

/** Undefined: the header, or query parameter, is absent. */
export function optionalValues(conditions: ReadonlyMap<string, TextCondition>): Values<string | undefined> {
  const { values, cut } = classes(conditions.values(), valueAlphabet, ['x']);
  return { values: [undefined, ...values], cut };
}

export type Claims = Readonly<Record<string, unknown>>;

/** Tokens: none, of each issuer with each audience and combination of claims, and of a stranger. */
export function tokenValues({ issuers, audiences, claims }: Conditions): Values<Claims | undefined> {
  if (issuers.size === 0) return { values: [undefined], cut: false };
  let cut = false;
  let tokens: Claims[] =
    audiences.size === 0 ? [{}] : [...audiences, strangeAudience].map((aud) => ({ aud }));
  const asked = [...claims].filter(([name]) => name !== 'iss' && (name !== 'aud' || audiences.size === 0));
  if (!claims.has('sub')) asked.push(['sub', new Map()]);
  for (const [name, conditions] of asked) {
    const found = classes(conditions.values(), valueAlphabet, [name === 'sub' ? 'someone' : 'x']);
    cut ||= found.cut;
    const values = name === 'sub' ? found.values : [undefined, ...found.values];
    const next = tokens.flatMap((token) =>
      values.map((value) => (value === undefined ? token : withClaim(token, name.split('.'), value))),
    );
    cut ||= next.length > mostTokens;
    tokens = next.slice(0, mostTokens);
  }
  const all = [...issuers].flatMap((iss) => tokens.map((token) => ({ iss, ...token })));
  cut ||= all.length > mostTokens;
  return { values: [undefined, ...all.slice(0, mostTokens), { iss: strangeIssuer, sub: 'someone' }], cut };
}

function withClaim(token: Claims, [first = '', ...rest]: readonly string[], value: string): Claims {
  if (rest.length === 0) return { ...token, [first]: value };
  const inner = token[first];
  return { ...token, [first]: withClaim(typeof inner === 'object' ? (inner as Claims) : {}, rest, value) };
}

/** One address for each combination of ranges that some address is in; `usual` first. */
export function addressValues({ sources }: Conditions, usual: string): string[] {
  const ranges = [...sources.keys()].flatMap((text) => parseCidr(text) ?? []);
  const found = new Map<string, string>();
  for (const candidate of [usual, ...[...sources.keys()].flatMap(borders)]) {
    const ip = parseIp(candidate);
    if (!ip) continue;
    const key = ranges.map((range) => (cidrContains(range, ip) ? '1' : '0')).join('');
    if (!found.has(key)) found.set(key, candidate);
  }
  return [...found.values()];
}

/** The first and last address of a range, and their neighbours outside. IPv4; of IPv6 the first. */
function borders(cidr: string): string[] {
  const [address = '', bits = '32'] = cidr.split('/');
  const parts = address.split('.').map(Number);
  if (parts.length !== 4) return [address];
  const size = 2 ** (32 - Number(bits));
  const number = parts.reduce((sum, part) => sum * 256 + part, 0);
  const first = Math.floor(number / size) * size;
  return [first + 1, first, first + size - 1, first - 1, first + size]
    .filter((one) => one >= 0 && one < 2 ** 32)
    .map((one) => [24, 16, 8, 0].map((shift) => Math.floor(one / 2 ** shift) % 256).join('.'));
}

/** Which conditions a text meets: two texts with one answer are alike. */
export function answersTo(conditions: Iterable<TextCondition>, text: string): string {
  let answer = '';
  for (const { automaton } of conditions) {
    let state = automaton.start;
    for (const char of text) state = automaton.step(state, char.codePointAt(0) as number);
    answer += automaton.accepts(state) ? '1' : '0';
  }
  return answer;
}
