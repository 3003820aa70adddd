import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { releaseNumber, takeNumber } from './machine-lock.ts';

const kind = `lock-${process.pid}`;
const numbers = Array.from({ length: 12 }, (_, index) => index);

/** A process that takes as many numbers as it is told, says which, and stays until it is ended. */
async function taker(count: number) {
  const script = `import { takeNumber } from ${JSON.stringify(join(import.meta.dirname, 'machine-lock.ts'))};
    const numbers = ${JSON.stringify(numbers)};
    const taken = Array.from({ length: ${count} }, () => takeNumber('${kind}', numbers));
    console.log(JSON.stringify(taken));
    process.stdin.resume().on('end', () => process.exit());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const text = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk) => resolve(`${chunk}`)),
  );
  return { child, ended, taken: JSON.parse(text) as (number | undefined)[] };
}

test('processes that take numbers at once get different ones; those of an ended or killed one are free again', async () => {
  const takers = await Promise.all([1, 2, 3, 4].map(() => taker(3)));
  expect(takers.flatMap(({ taken }) => taken).sort((a = 0, b = 0) => a - b)).toEqual(numbers);
  expect(takeNumber(kind, numbers)).toBeUndefined();
  const [first, second, ...others] = takers;
  first?.child.kill('SIGKILL');
  second?.child.stdin.end();
  await Promise.all([first?.ended, second?.ended]);
  const free = [...(first?.taken ?? []), ...(second?.taken ?? [])];
  const again = free.map(() => takeNumber(kind, numbers));
  expect(new Set(again)).toEqual(new Set(free));
  expect(takeNumber(kind, numbers)).toBeUndefined();
  for (const number of again) releaseNumber(kind, number ?? 0);
  for (const { child } of others) child.stdin.end();
  await Promise.all(others.map(({ ended }) => ended));
});
