import { afterAll, beforeAll, expect, test } from 'vitest';
import { askableCalls, policySets } from '../../support/authorization-arbitrary.ts';
import { type AuthorizationMesh, startAuthorizationMesh } from '../../support/authorization-mesh.ts';
import type { AskedCall, PolicyObject } from '../../support/authorization-reference.ts';
import { rejectedUpdates } from '../../support/compiled-mesh.ts';
import { fc, nightly, seed } from '../../support/properties.ts';
import { shrink } from '../../support/shrink.ts';

/**
 * Random policies and calls: what the documentation says (test/support/authorization-reference.ts), what real Envoy does and what the
 * simulator foretells are the same, down to the rule that decided. A disagreement is made small before it is told.
 */
const callsPerSet = 50;
const triples = Number(process.env.OSTRIA_AUTHORIZATION_TRIPLES ?? (nightly ? 50_000 : 5_000));

let mesh: AuthorizationMesh;

beforeAll(async () => {
  mesh = await startAuthorizationMesh();
});

afterAll(() => mesh?.stop());

interface Case {
  readonly policies: readonly PolicyObject[];
  readonly call: AskedCall;
}

async function explain(failing: Case, why: string): Promise<string> {
  const differs = async ({ policies, call }: Case): Promise<boolean> => {
    await mesh.use(policies);
    return (await mesh.compare(policies, [call], 300)).get(0) === why;
  };
  const keep = ['policies', 'metadata', 'name', 'namespace', 'spec', 'action', 'provider', 'key', 'call'];
  const kept = [
    ...keep,
    'caller',
    'ip',
    'remoteIp',
    'port',
    'sni',
    'method',
    'path',
    'host',
    'headers',
    'iss',
  ];
  const small = await shrink(failing, differs, { tries: 150, keep: [...kept, 'trustDomain', 'account'] });
  return `seed ${seed}: ${why}\n${JSON.stringify(small.call)}\n${small.policies.map((one) => JSON.stringify(one)).join('\n')}`;
}

test(`documentation, Envoy and simulator agree on ${triples} policies, requests and identities`, {
  timeout: 3_600_000,
}, async () => {
  const sets = fc.sample(policySets, { numRuns: Math.ceil(triples / callsPerSet), seed });
  const calls = fc.sample(askableCalls, { numRuns: sets.length * callsPerSet, seed });
  for (const [index, policies] of sets.entries()) {
    await mesh.use(policies);
    const asked = calls.slice(index * callsPerSet, (index + 1) * callsPerSet);
    for (const [at, why] of await mesh.compare(policies, asked, 30_000))
      expect.fail(await explain({ policies, call: asked[at] as AskedCall }, why));
  }
  console.log(JSON.stringify({ seed, ...mesh.counts }));
  expect(Math.min(mesh.counts.allowed, mesh.counts.refused)).toBeGreaterThan(triples / 10);
  expect(await rejectedUpdates(mesh.server)).toBe(0);
});
