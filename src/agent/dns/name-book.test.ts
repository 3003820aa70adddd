import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../kit/clock.ts';
import { type Addresses, freshMs, NameBook } from './name-book.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-names-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** A book, what it asked, and a clock that is set by hand. */
function open(answers: Record<string, Addresses | Error | 'never'>) {
  const asked: string[] = [];
  const time = { now: 1_000 };
  // Whoever sleeps has waited long enough.
  const clock: Clock = { now: () => time.now, sleep: async () => {} };
  const book = new NameBook({
    ask: async (name) => {
      asked.push(name);
      const answer = answers[name] ?? null;
      if (answer instanceof Error) throw answer;
      return answer === 'never' ? new Promise<Addresses>(() => {}) : answer;
    },
    file: join(directory, 'names.json'),
    log: silent,
    clock,
  });
  return { book, asked, time, answers };
}

test('a name is asked for once while its answer holds, whether the mesh knows it or not', async () => {
  const { book, asked, time, answers } = open({ orders: ['10.0.0.1'] });
  expect(await Promise.all(['orders', 'orders', 'example.com'].map((name) => book.find(name)))).toEqual([
    ['10.0.0.1'],
    ['10.0.0.1'],
    null,
  ]);
  await book.find('orders');
  expect(asked).toEqual(['orders', 'example.com']);
  time.now += freshMs;
  answers.orders = ['10.0.0.2'];
  expect(await book.find('orders')).toEqual(['10.0.0.2']);
});

test('while the control plane is away it is asked now and then, and what was last known is answered', async () => {
  const { book, asked, time, answers } = open({ orders: ['10.0.0.1'] });
  await book.find('orders');
  answers.orders = new Error('gone');
  time.now += freshMs;
  expect(await book.find('orders')).toEqual(['10.0.0.1']);
  expect(await book.find('orders')).toEqual(['10.0.0.1']);
  expect(await book.find('new')).toBe(null);
  expect(asked).toEqual(['orders', 'orders']);
  time.now += freshMs;
  answers.orders = ['10.0.0.3'];
  expect(await book.find('orders')).toEqual(['10.0.0.3']);
});

test('an answer that does not come is not waited for', async () => {
  const { book } = open({ orders: 'never' });
  expect(await book.find('orders')).toBe(null);
});

test('what is known is there after a start without a control plane; what it wrote is bounded', async () => {
  const first = open({ orders: ['10.0.0.1', '2001:db8::1'] });
  await first.book.find('orders');
  for (let i = 0; i < 5_000; i++) await first.book.find(`${i}.example.com`);
  // Pushed out by those that came after it.
  expect(first.asked.filter((name) => name === 'orders')).toHaveLength(1);
  await first.book.find('orders');
  expect(first.asked.filter((name) => name === 'orders')).toHaveLength(2);
  await first.book.close();
  const second = open({ orders: new Error('gone') });
  expect(await second.book.find('orders')).toEqual(['10.0.0.1', '2001:db8::1']);
});
