import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../../src/config/object.ts';
import { createModel, type Model } from '../../src/model/model.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { callersOf } from '../../src/prove/callers.ts';
import { parseClaim } from '../../src/prove/claim.ts';
import { prove } from '../../src/prove/prove.ts';
import { serversOf } from '../../src/prove/servers.ts';
import { depart, departAsStranger, send } from '../../src/request-space/journey.ts';
import { Random } from '../../src/snapshot/engine/testing/random.ts';
import { modelObjects, randomObjects, randomQuestion } from '../support/change-arbitrary.ts';
import { standing } from '../support/change-mesh.ts';

/*
 * What `prove` says against requests that know nothing of it: where it says proved, none of them gets through; where it says refuted, its
 * own request does.
 */

const nightly = process.env.OSTRIA_NIGHTLY === '1';
const rounds = nightly ? 150 : 12;
const requests = nightly ? 4000 : 300;

const callers = [
  'anyone',
  'plaintext',
  'outside',
  '!namespace/shop',
  'namespace/bank',
  '!account/client.shop',
  'workload/client.shop',
];
const targets = ['web.shop', 'cart.shop:80', 'web.bank'];
const operations = ['', ' POST', ' GET,POST /a', ' /a*', ' /v1/x', ' GET /b'];

const policies: ReadonlySet<string> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
  'VirtualService',
  'Gateway',
]);

function meshOf(random: Random): Model {
  const objects = randomObjects(random).filter(({ kind }) => policies.has(kind));
  const strict: ConfigObject = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'all', namespace: 'istio-system' },
    spec: { mtls: { mode: 'STRICT' } },
  };
  return createModel(modelObjects([...standing(), ...(random.chance(0.5) ? [strict] : []), ...objects]), {
    roots: roots.collections,
  });
}

describe('prove', () => {
  it(`agrees with ${requests} random requests on ${rounds} random meshes`, { timeout: 3_600_000 }, () => {
    const seen: Record<string, number> = { proved: 0, refuted: 0, unknown: 0 };
    for (let seed = 1; seed <= rounds; seed++) {
      const random = new Random(seed);
      const model = meshOf(random);
      const text = `from ${random.pick(callers)} to ${random.pick(targets)}${random.pick(operations)}`;
      const parsed = parseClaim(text);
      if (!parsed.ok) throw new Error(parsed.error);
      const claim = parsed.value;
      const result = prove(model, claim);
      if (!result.ok) throw new Error(result.error.message);
      const { proof } = result;
      seen[proof.status] = (seen[proof.status] ?? 0) + 1;
      const servers = serversOf(model, claim) ?? [];
      const keys = new Set(servers.map(({ at }) => at.key));
      const who = callersOf(model, claim.from);
      let through: string | undefined;
      for (let i = 0; i < requests && proof.status === 'proved' && who.length > 0; i++) {
        const caller = random.pick(who);
        const { variant, url } = randomQuestion(random, ['']);
        const server = random.pick(servers);
        const method = claim.methods ? random.pick(claim.methods) : variant.method;
        const query = variant.path.includes('?') ? '?v=1' : '';
        const path = claim.path
          ? `${claim.path.text}${claim.path.prefix ? random.pick(['', '/b', 'x']) : ''}${query}`
          : variant.path;
        const own = random.chance(0.8) ? `http://${server.hostname}:${server.servicePort}` : url;
        const departure = caller.at
          ? depart(model, caller.at, own)
          : departAsStranger(model, server.at, own, server.port);
        if (!departure) continue;
        const { leaves, passed } = send(departure, { ...variant, method, path });
        for (const { workload, end } of leaves) {
          const last = passed.findLast(({ hop }) => hop.at.key === workload)?.hop.call;
          const [arrived = ''] = (last?.path ?? '').split('?');
          const meant =
            !claim.path ||
            (claim.path.prefix ? arrived.startsWith(claim.path.text) : arrived === claim.path.text);
          const port = servers.some(({ at, port: listens }) => at.key === workload && listens === last?.port);
          if (end.outcome === 'delivered' && workload && keys.has(workload) && port && meant)
            through = JSON.stringify({ seed, text, from: caller.at?.key, own, method, path, variant });
        }
      }
      expect(through).toBeUndefined();
      if (proof.counterExample) {
        expect(proof.counterExample.outcome.ends.some(({ outcome }) => outcome === 'delivered')).toBe(true);
        const [path = ''] = new URL(proof.counterExample.url).pathname.split('?');
        if (claim.path?.prefix === false) expect(path).toBe(claim.path.text);
        if (claim.methods) expect(claim.methods).toContain(proof.counterExample.method);
        if (proof.counterExample.from)
          expect(who.map(({ at }) => at?.key)).toContain(proof.counterExample.from);
      }
    }
    console.log(JSON.stringify({ rounds, requests, ...seen }));
    expect(seen.proved).toBeGreaterThan(1);
    expect(seen.refuted).toBeGreaterThan(1);
  });

  it('refuses a claim about callers that nobody is: a slip would prove what nobody asked', () => {
    const model = meshOf(new Random(1));
    for (const who of ['!workload/clint.shop', 'namespace/shopp', '!account/nobody.shop']) {
      const parsed = parseClaim(`from ${who} to web.shop`);
      if (!parsed.ok) throw new Error(parsed.error);
      expect(prove(model, parsed.value), who).toMatchObject({ ok: false, error: { code: 'CallerUnknown' } });
    }
  });
});
