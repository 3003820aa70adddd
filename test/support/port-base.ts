import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, processId } from '../../src/kit/process-id.ts';
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
  const base = await waitFor('a free port base', () => bases.find(take), {
    timeoutMs: 120_000,
    intervalMs: 200,
  });
  return { base, release: () => rmSync(lockOf(base), { recursive: true, force: true }) };
}

const lockOf = (base: number): string => join(tmpdir(), `ostria-test-ports-${base}`);

function take(base: number): boolean {
  const lock = lockOf(base);
  const owner = join(lock, 'owner.json');
  for (let attempt = 0; attempt < 2; attempt++)
    try {
      mkdirSync(lock);
      writeFileSync(owner, JSON.stringify(processId(process.pid)));
      return true;
    } catch {
      try {
        if (isAlive(JSON.parse(readFileSync(owner, 'utf8')))) return false;
      } catch {
        // Somebody is between the two steps, or died there: leave it alone.
        return false;
      }
      rmSync(lock, { recursive: true, force: true });
    }
  return false;
}
