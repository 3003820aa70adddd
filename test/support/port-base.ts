import { releaseNumber, takeNumber } from './machine-lock.ts';
import { waitFor } from './wait-for.ts';

/**
 * Bases for the meshes of tests. A mesh takes its ports from a few places above its base (the memorable ones below 1000 and
 * at 8080, the others from 1000), so even thousands keep one mesh's others out of the next one's memorable ones.
 */
const bases = [24, 26, 28].flatMap((thousand) =>
  [0, 200, 400, 600, 800].map((rest) => thousand * 1_000 + rest),
);

/**
 * A port base that no other test of this machine uses, whatever process runs it; waits for one up to two minutes. `release` gives
 * it back; so does the end of this process.
 */
export async function takePortBase(): Promise<{ base: number; release(): void }> {
  const base = await waitFor('a free port base', () => takeNumber('ports', bases), {
    timeoutMs: 120_000,
    intervalMs: 200,
  });
  return { base, release: () => releaseNumber('ports', base) };
}

/** Bases for several meshes of one test file. */
export class PortBases {
  readonly #taken: { release(): void }[] = [];

  async take(): Promise<number> {
    const taken = await takePortBase();
    this.#taken.push(taken);
    return taken.base;
  }

  release(): void {
    for (const { release } of this.#taken.splice(0)) release();
  }
}
