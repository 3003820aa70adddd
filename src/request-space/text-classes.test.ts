import { describe, expect, it } from 'vitest';
import { regexMatches } from '../simulate/match-text.ts';
import { Random } from '../snapshot/engine/testing/random.ts';
import { regexText } from './regex-automaton.ts';
import {
  containsText,
  either,
  exactText,
  followedBy,
  onceReplaced,
  prefixText,
  type TextAutomaton,
} from './text-automaton.ts';
import { pathAlphabet, textClasses, valueAlphabet } from './text-classes.ts';

function accepts(automaton: TextAutomaton, text: string): boolean {
  let state = automaton.start;
  for (const char of text) {
    if (automaton.isDead(state)) return false;
    if (automaton.isFull(state)) return true;
    state = automaton.step(state, char.codePointAt(0) as number);
  }
  return automaton.accepts(state);
}

const regexes = [
  '/a.*',
  '/[ab]/?',
  '.*',
  '/v[0-9]+(/.*)?',
  'a|b|ab*',
  '^a$',
  '(?i)aB',
  '\\bab\\b.*',
  '[^/]+',
  '',
  'a{2,3}',
  '(a|b)*/',
];
const literals = ['', 'a', 'ab', 'aab', '/a', '/a/b', 'B'];

describe('text automata', () => {
  it('take what the matchers take', () => {
    const random = new Random(7);
    const texts = [
      '',
      ...Array.from({ length: 120 }, () =>
        Array.from({ length: random.below(6) }, () => random.pick(['a', 'b', 'B', '/', 'v', '1', '-'])).join(
          '',
        ),
      ),
    ];
    for (const text of texts) {
      for (const regex of regexes)
        expect([regex, text, accepts(regexText(regex), text)]).toEqual([
          regex,
          text,
          regexMatches(regex, text),
        ]);
      for (const word of literals) {
        expect([word, text, accepts(exactText(word), text)]).toEqual([word, text, text === word]);
        expect([word, text, accepts(exactText(word, { ignoreCase: true }), text)]).toEqual([
          word,
          text,
          text.toLowerCase() === word.toLowerCase(),
        ]);
        expect([word, text, accepts(prefixText(word), text)]).toEqual([word, text, text.startsWith(word)]);
        expect([word, text, accepts(containsText(word), text)]).toEqual([word, text, text.includes(word)]);
        expect([word, text, accepts(containsText(word, { atEnd: true }), text)]).toEqual([
          word,
          text,
          text.endsWith(word),
        ]);
        expect([word, text, accepts(followedBy(word, regexText('b*')), text)]).toEqual([
          word,
          text,
          text.startsWith(word) && /^b*$/.test(text.slice(word.length)),
        ]);
        const replaced = text.replaceAll(word, 'ba');
        if (word !== '')
          expect([word, text, accepts(onceReplaced(word, 'ba', regexText('b*a?b?')), text)]).toEqual([
            word,
            text,
            /^b*a?b?$/.test(replaced),
          ]);
        expect([word, text, accepts(either(exactText(word), prefixText('b')), text)]).toEqual([
          word,
          text,
          text === word || text.startsWith('b'),
        ]);
      }
    }
  });
});

describe('text classes', () => {
  it('have one text for each combination that some text meets', () => {
    const random = new Random(11);
    const letters = ['a', 'b', '/', '1'];
    const all = [''];
    for (let i = 0; (all[i] as string).length < 4; i++)
      for (const letter of letters) all.push((all[i] as string) + letter);
    for (let round = 0; round < 25; round++) {
      const automata = Array.from({ length: 1 + random.below(4) }, () =>
        random.chance(0.4)
          ? regexText(random.pick(regexes))
          : random.pick([exactText, prefixText, containsText])(random.pick(literals)),
      );
      const { texts, cut } = textClasses(automata, { ranges: valueAlphabet.ranges });
      const answers = (text: string) => automata.map((one) => accepts(one, text)).join();
      const found = texts.map(answers);
      expect(cut).toBe(false);
      expect(new Set(found).size).toBe(found.length);
      for (const text of all) expect(found).toContain(answers(text));
    }
  });

  it('are paths that people can read', () => {
    const { texts } = textClasses(
      [prefixText('/reviews'), exactText('/reviews/0'), regexText('/api/v[0-9]+/.*')],
      pathAlphabet,
      ['/'],
    );
    expect(texts).toMatchInlineSnapshot(`
      [
        "/",
        "/api/v0/",
        "/reviews",
        "/reviews/0",
      ]
    `);
  });
});
