// People edit while others call: no edit that leaves a healthy destination costs a request.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { opensslCertificate } from '../../support/authority.ts';
import { type HelloMesh, openHelloMesh } from '../../support/hello-mesh.ts';
import { type Answer, call } from '../../support/http-echo.ts';
import { keepConnection } from '../../support/kept-connections.ts';
import { type LoadResult, startLoad } from '../../support/load.ts';
import { root } from '../../support/ostria.ts';
import { nightly, seed } from '../../support/properties.ts';
import {
  applyLastServer,
  applySecureServer,
  clearRules,
  type Edit,
  type EditKind,
  editKinds,
  randomEdits,
  secureHost,
  startCopies,
} from '../../support/random-edits.ts';
import { clearSurroundings } from '../../support/surrounding-edits.ts';

const edits = nightly ? 500 : 150;

const program = (name: string) => `node ${join(root, 'test', 'support', name)}`;
/** Who says back what is said: on connections without HTTP, and on upgraded ones. No edit concerns them. */
const services = `
  bytes: { command: ${program('bytes-program.ts')}, ports: ["7000/tcp"] }
  upgrades: { command: ${program('upgrade-program.ts')}, ports: ["7001/http"] }
`;

let mesh: HelloMesh;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-edits-'));
  mesh = await openHelloMesh([], '', services);
});
afterAll(async () => {
  await mesh?.close();
  rmSync(directory, { recursive: true, force: true });
});

const statusOf = ({ status }: Answer): number => status;

function expectNoFailure(results: LoadResult[]): void {
  const counts: Record<string, number> = {};
  for (const why of results.flatMap(({ failures }) => failures)) counts[why] = (counts[why] ?? 0) + 1;
  expect(counts).toEqual({});
  for (const { requests, answered } of results) expect(answered).toBe(requests);
}

test(
  `${edits} random edits under load (OSTRIA_SEED=${seed}): no request fails`,
  async () => {
    const root = opensslCertificate({ directory, name: 'root' });
    const certificates = [0, 1, 2, 3].map((index) =>
      opensslCertificate({ directory, name: `leaf-${index}`, issuer: root, ca: false, names: [secureHost] }),
    );
    await applySecureServer(mesh, certificates);
    const tls = { ca: root.certificate, servername: secureHost };
    const [port, plain] = [mesh.gatewayPort(443), { perSecond: 120, timeoutMs: 15_000 }];
    await expect
      .poll(() => call(port, '/hello', { host: secureHost }, { tls: true, ...tls }).then(statusOf, String))
      .toBe(200);
    const copies = await startCopies(mesh);
    const loads = [
      startLoad(mesh.ingress, plain),
      startLoad(mesh.helloFromSleep, plain),
      startLoad(`https://127.0.0.1:${port}/hello`, { ...plain, perSecond: 25, tls }),
      startLoad(mesh.httpbinFromSleep, { ...plain, perSecond: 60 }),
    ];
    const kept = [
      await keepConnection(mesh.fromSleep('bytes:7000')),
      await keepConnection(mesh.fromSleep('upgrades:7001'), 'upgrades:7001'),
    ];
    try {
      const made: Partial<Record<EditKind, number>> = {};
      const drawn = randomEdits(mesh, new Random(seed), { certificates, copies });
      for (let number = 0; number < edits; number++) {
        const edit = drawn.next().value as Edit;
        // Calls go on all the while, as many as there are edits at least.
        const calls = number % 4 === 0 ? loads.map((load) => load.goesOn(4)) : [];
        await Promise.all([edit.make(), ...calls]);
        made[edit.kind] = (made[edit.kind] ?? 0) + 1;
      }
      await clearRules(mesh);
      await clearSurroundings(mesh);
      await applyLastServer(mesh);
      // No route leads on from there.
      const beside = () => call(mesh.gatewayPort(8080), '/', { host: 'beside-0.example.com' });
      await expect.poll(() => beside().then(statusOf, String)).toBe(404);
      await Promise.all(loads.map((load) => load.goesOn(10)));
      const results = await Promise.all(loads.map((load) => load.stop()));
      const requests = results.map((result) => result.requests);
      const [, , secure] = results;
      console.log(JSON.stringify({ made, requests, copies: copies.answered }));
      expectNoFailure(results);
      const echoed = kept.map((connection) => connection.echoed);
      const goOn = () => kept.map((connection, index) => connection.echoed > (echoed[index] ?? 0));
      await expect.poll(goOn, { timeout: 30_000 }).toEqual([true, true]);
      expect(kept.map(({ lost }) => lost)).toEqual([undefined, undefined]);
      // The edits did something: copies took their part, certificates were replaced, every kind was drawn.
      expect(copies.answered).toBeGreaterThan(0);
      expect(secure?.certificates.size).toBeGreaterThan(1);
      expect(Object.keys(made).sort()).toEqual([...editKinds].sort());
    } finally {
      for (const connection of kept) connection.close();
      await Promise.all(loads.map((load) => load.stop()));
      await copies.withdraw();
      copies.close();
    }
  },
  60_000 + edits * 1_500,
);

test('copies come and go under load: no request fails', async () => {
  const loads = [mesh.ingress, mesh.helloFromSleep].map((url) => startLoad(url, { perSecond: 150 }));
  await mesh.scale(3);
  await Promise.all(loads.map((load) => load.goesOn(20)));
  await mesh.scale(1);
  await Promise.all(loads.map((load) => load.goesOn(20)));
  const results = await Promise.all(loads.map((load) => load.stop()));
  expectNoFailure(results);
  // The second and third copy took their part.
  const bodies = results.flatMap(({ bodies }) => [...bodies.keys()]).join();
  for (const copy of ['helloworld-v1-1', 'helloworld-v1-2', 'helloworld-v2-0'])
    expect(bodies).toContain(copy);
});
