import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { fc, nightly, seed } from './properties.ts';

/** How long each of the targets is fuzzed, ms: as long as it takes, where only so many inputs are asked about. */
const timeMs = Number(process.env.OSTRIA_FUZZ_MS ?? (nightly ? 100_000 : 120_000));
/** How many inputs each of the targets is asked about. A fast machine must not find what a slow one does not. */
const mostRuns = nightly || process.env.OSTRIA_FUZZ_MS ? 2 ** 31 - 1 : 3_000;
/** What a target may hold after all of its inputs, above what it held before. */
const heldBytes = 48 * 1024 * 1024;
/** For a test of one target: an input that blocks for long is a finding. */
export const fuzzTimeout = timeMs + 60_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

/**
 * Asks about inputs, so many or until the time is over. `ask` throws where the answer is none of those that the target may give, and else says
 * which it was. `expected` answers must occur, or the inputs say nothing.
 */
export async function fuzz<T>(
  target: string,
  inputs: fc.Arbitrary<T>,
  ask: (input: T) => string | Promise<string>,
  expected: readonly string[],
): Promise<void> {
  const answers: Record<string, number> = {};
  const check = fc.asyncProperty(inputs, async (input) => {
    const answer = await ask(input);
    answers[answer] = (answers[answer] ?? 0) + 1;
  });
  const run = (share: number, from: number) =>
    fc.assert(check, {
      seed: from,
      numRuns: Math.ceil(mostRuns * share),
      interruptAfterTimeLimit: timeMs * share,
      markInterruptAsFailure: false,
    });
  // What is compiled and cached once is no leak.
  await run(0.25, seed ^ 1);
  const before = heap();
  await run(0.75, seed);
  const grown = heap() - before;
  console.log(JSON.stringify({ target, seed, answers, grownKiB: Math.round(grown / 1024) }));
  expect(grown).toBeLessThan(heldBytes);
  for (const answer of expected) expect([answer, answers[answer] ?? 0]).not.toEqual([answer, 0]);
}

/** Sound inputs with bytes changed, cut out, doubled, put in, or taken from another one. */
export function mutated(corpus: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });
  const edit = fc.record({
    how: fc.constantFrom('change', 'cut', 'double', 'insert', 'splice'),
    at: fraction,
    length: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 200 })),
    bytes: fc.oneof(
      { weight: 2, arbitrary: fc.string({ minLength: 1, maxLength: 8 }).map((text) => Buffer.from(text)) },
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
    ),
    other: fc.constantFrom(...corpus),
  });
  return fc.tuple(fc.constantFrom(...corpus), fc.array(edit, { maxLength: 4 })).map(([sound, edits]) =>
    edits.reduce((bytes, { how, at: share, length, bytes: drawn, other }) => {
      const at = Math.floor(share * bytes.length);
      const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
      if (how === 'change') return Buffer.concat([head, drawn, tail.subarray(drawn.length)]);
      if (how === 'cut') return Buffer.concat([head, tail.subarray(length)]);
      if (how === 'double') return Buffer.concat([head, tail.subarray(0, length), tail]);
      if (how === 'insert') return Buffer.concat([head, drawn, tail]);
      return Buffer.concat([head, other.subarray(Math.floor(share * other.length))]);
    }, Buffer.from(sound)),
  );
}
