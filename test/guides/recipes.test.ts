// The recipes of the guides about traffic do what their text says: on files, and with OSTRIA_NIGHTLY through real Envoys too.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ostria, openOstria } from '../support/ostria.ts';
import { externalServices } from './recipes/external-services.ts';
import { gateways } from './recipes/gateways.ts';
import { type Promises, recipesOf, writeRecipe } from './recipes/recipe.ts';
import { traffic } from './recipes/traffic.ts';

let ostria: Ostria;
let directory: string;
beforeAll(async () => {
  ostria = await openOstria();
  directory = mkdtempSync(join(tmpdir(), 'ostria-recipes-'));
});
afterAll(async () => {
  await ostria?.close();
  if (directory) rmSync(directory, { recursive: true });
});

const guides: Readonly<Record<string, readonly Promises[]>> = {
  'traffic.md': traffic,
  'gateways.md': gateways,
  'external-services.md': externalServices,
};

test('every recipe does what its guide says', async () => {
  for (const [guide, promises] of Object.entries(guides)) {
    const recipes = recipesOf(guide);
    expect([...new Set(promises.map(({ title }) => title))], guide).toEqual([...recipes.keys()]);
    for (const [at, recipe] of promises.entries()) {
      const yaml = recipes.get(recipe.title)?.[recipe.block ?? 0] ?? '';
      writeRecipe(join(directory, `${guide}-${at}`), yaml, recipe);
    }
  }
  const real = process.env.OSTRIA_NIGHTLY === undefined ? [] : ['--real-envoy'];
  const { code, stdout, stderr } = await ostria.run(['test', directory, ...real]);
  expect(code, stdout + stderr).toBe(0);
}, 240_000);
