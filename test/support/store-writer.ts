import { writeSync } from 'node:fs';
import { openEmbeddedStore } from '../../src/config/store/embedded/embedded-store.ts';

/*
 * Writes to a store until it is killed, and says on stdout what was acknowledged: `revision name value`, value - for a
 * deletion. Started by the crash test: `store-writer.ts PATH WRITERS ROUND`.
 */
const [path = '', writers = '8', round = '0'] = process.argv.slice(2);
// History is compacted all the while, so that the kill also meets that; what the test reads back is within it.
const store = openEmbeddedStore({ path, historyCommits: 20_000, historyMs: 20, maintenanceMs: 10 });

async function write(writer: number): Promise<never> {
  const name = `w${writer}`;
  const ref = { resource: 'services', namespace: 'default', name };
  let revision = (await store.get(ref))?.revision ?? 0;
  for (let n = 1; ; n++) {
    const value = `${round}.${n}`;
    const metadata = { name, namespace: 'default' };
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { value, padding: 'x'.repeat(n % 500) },
    };
    const remove = n % 7 === 0;
    const result = await store.commit([
      remove ? { type: 'delete', ref, expect: revision } : { type: 'put', ref, object, expect: revision },
    ]);
    if (!result.ok) throw new Error(`nobody else writes ${name}, yet there was a conflict`);
    // Synchronously: once this line is in the file, the write is acknowledged, whatever happens to this process.
    writeSync(1, `${result.revision} ${name} ${remove ? '-' : value}\n`);
    revision = remove ? 0 : result.revision;
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
