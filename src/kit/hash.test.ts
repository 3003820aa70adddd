import { expect, test } from 'vitest';
import { hashBytes, hashText, hashWords } from './hash.ts';

test('is a function of the content alone', () => {
  const bytes = new TextEncoder().encode('reviews.default.svc.cluster.local');
  const padded = new Uint8Array(bytes.length + 9);
  padded.set(bytes, 5);
  expect(hashBytes(padded.subarray(5, 5 + bytes.length))).toBe(hashBytes(bytes));
  expect(hashText('')).toMatch(/^[0-9a-v]{14}$/);
});

test('tells near inputs of every length apart', () => {
  const seen = new Set<string>();
  let count = 0;
  for (let length = 0; length < 70; length++)
    for (let bit = 0; bit < Math.max(1, length * 8); bit++) {
      const bytes = new Uint8Array(length);
      if (length > 0) bytes[bit >> 3] = 1 << (bit & 7);
      seen.add(hashBytes(bytes));
      count++;
    }
  expect(seen.size).toBe(count);
});

test('flips about half of its bits when one input bit flips', () => {
  const base = new Uint8Array(64).map((_, i) => i * 7);
  const words = hashWords(base);
  let flips = 0;
  for (let bit = 0; bit < 512; bit++) {
    const changed = base.slice();
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    hashWords(changed).forEach((word, i) => {
      for (let x = word ^ (words[i] as number); x !== 0; x &= x - 1) flips++;
    });
  }
  expect(flips / 512).toBeGreaterThan(60);
  expect(flips / 512).toBeLessThan(68);
});
