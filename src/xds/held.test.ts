import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import type { Resource } from '../snapshot/resource.ts';
import { byName, Held } from './held.ts';
import { NameSet } from './name-set.ts';

let stamp = 0;
function resource(name: string): Resource {
  return { typeUrl: 't', name, version: String(stamp++), bytes: new Uint8Array(), origins: [] };
}

const names = Array.from({ length: 600 }, (_, i) => `n${i}`);
const someNames = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 400 });

describe('Held', () => {
  it('holds what a map would, through any sequence of responses', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(someNames, someNames, fc.boolean()), { maxLength: 12 }), (steps) => {
        const held = new Held();
        const model = new Map<string, Resource>();
        for (const [upserts, removed, sorted] of steps) {
          const resources = upserts.map(resource);
          if (sorted) resources.sort(byName);
          const gone = removed.filter((name) => !upserts.includes(name));
          held.apply(resources, gone);
          for (const one of resources) model.set(one.name, one);
          for (const name of gone) model.delete(name);
          expect(held.size).toBe(model.size);
          for (const name of names) expect(held.get(name)).toBe(model.get(name));
        }
        expect(held.list()).toEqual([...model.values()].sort(byName));
      }),
      { numRuns: 40 },
    );
  });

  it('shares one list among clients that went the same way', () => {
    const base = names.map(resource).sort(byName);
    const change = names.slice(0, 300).map(resource).sort(byName);
    const small = [resource('n5'), resource('added')];
    const clients = [new Held(), new Held()].map((held) => {
      held.apply(base, []);
      held.apply(small, []);
      held.apply(change, []);
      return held.list();
    });
    expect(clients[0]).toBe(clients[1]);
    expect(clients[0]?.length).toBe(601);
  });
});

describe('NameSet', () => {
  it('holds what a set would, on a shared base', () => {
    const base = names.slice(0, 100).map(resource).sort(byName);
    const step = fc.tuple(fc.constantFrom('add', 'delete', 'all'), fc.constantFrom(...names.slice(0, 120)));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const set = new NameSet();
        const model = new Set<string>();
        for (const [action, name] of steps) {
          if (action === 'add') {
            set.add(name);
            model.add(name);
          } else if (action === 'delete') {
            set.delete(name);
            model.delete(name);
          } else {
            set.addAll(base);
            for (const one of base) model.add(one.name);
          }
          expect(set.size).toBe(model.size);
          expect(set.has(name)).toBe(model.has(name));
        }
        expect([...set.values()].sort()).toEqual([...model].sort());
      }),
      { numRuns: 100 },
    );
  });
});
