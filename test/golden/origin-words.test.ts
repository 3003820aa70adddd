// Every decision can be put into words: each origin that the goldens' resources carry has an explanation of its feature.
import { expect, test } from 'vitest';
import { parseOriginId } from '../../src/config/origin.ts';
import { wordsOf } from '../../src/explain/words.ts';
import { root } from '../support/ostria.ts';
import { compileCase, envoyText, goldenCases } from './golden-case.ts';

test('every origin path that the goldens emit has words', () => {
  const without = new Map<string, string>();
  const seen = new Set<string>();
  for (const golden of goldenCases(root)) {
    const whole = { ...golden, show: ['.*'], keep: undefined };
    for (const [, id = ''] of envoyText(whole, compileCase(golden)).matchAll(/^ *origin: (\S+)$/gm)) {
      const origin = parseOriginId(id);
      if (!origin) continue;
      const shape = `${origin.kind}#${origin.path.replace(/\[[^\]]*\]/g, '[n]')}`;
      seen.add(shape);
      if (wordsOf(origin) === undefined) without.set(shape, golden.name);
    }
  }
  expect([...without].map(([shape, where]) => `${shape} (${where})`).sort()).toEqual([]);
  expect(seen.size).toBeGreaterThan(15);
});
