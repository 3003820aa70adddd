import { expect, test } from 'vitest';
import { formatTime, parseWhen } from './parse-when.ts';

const now = new Date(2026, 10, 27, 14, 30, 0).getTime();
const local = (...parts: [number, number, number, number, number, number?]) => new Date(...parts).getTime();

test.each([
  ['17', { revision: 17 }],
  ['#17', { revision: 17 }],
  ['now', { at: now }],
  ['14:05', { at: local(2026, 10, 27, 14, 5) }],
  ['14:05:30', { at: local(2026, 10, 27, 14, 5, 30) }],
  ['14:31', { at: local(2026, 10, 26, 14, 31) }],
  ['10m', { at: now - 600_000 }],
  ['1h30m ago', { at: now - 5_400_000 }],
  ['2026-11-26', { at: local(2026, 10, 26, 0, 0) }],
  ['2026-11-26 08:00', { at: local(2026, 10, 26, 8, 0) }],
  ['2026-11-26T08:00:01Z', { at: Date.UTC(2026, 10, 26, 8, 0, 1) }],
])('%s', (text, expected) => {
  expect(parseWhen(text, now)).toEqual(expected);
});

test.each(['', 'yesterday', '25:00', '14:60', '2026-13-40', '-5m', '1 2'])('%s is none', (text) => {
  expect(() => parseWhen(text, now)).toThrow('is no point in time');
});

test('times of another day have their date', () => {
  expect(formatTime(local(2026, 10, 27, 9, 5, 7), now)).toBe('09:05:07');
  expect(formatTime(local(2026, 10, 26, 9, 5, 7), now)).toBe('2026-11-26 09:05:07');
});
