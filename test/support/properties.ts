import { randomInt } from 'node:crypto';
import fc from 'fast-check';

/** Whether the long tests run, with inputs that nobody has tried before. */
export const nightly = process.env.OSTRIA_NIGHTLY === '1';

/**
 * What everything starts from that a test draws at random. It is the same in every run of `npm test`: one that fails tells of the
 * change, not of the draw. `npm run nightly` draws a fresh one; a failure there is a bug to be mended, and prints it for
 * `OSTRIA_SEED`, which repeats it.
 */
export const seed = Number(process.env.OSTRIA_SEED ?? (nightly ? randomInt(2 ** 31) : 20_261));

fc.configureGlobal({ seed });

/** fast-check, whose properties and samples begin with `seed`. Tests take it from here (a lint rule sees to it). */
export { fc };
