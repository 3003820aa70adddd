import { expect, test } from 'vitest';
import type { Kind } from '../../kind.ts';
import { createBuiltInRegistry } from '../../kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../object.ts';
import { admitSchema } from '../../schema/admit-schema.ts';
import { apiVersionOf } from '../context.ts';
import { markPlannedBehaviour } from './planned-behaviour.ts';

// What is built changes with time; the rule must hold for every kind whatever its turn.
const kinds: Kind[] = createBuiltInRegistry()
  .all()
  .filter((kind) => kind.group.endsWith('istio.io') || kind.group.startsWith('gateway.networking'))
  .map((kind) => ({ ...kind, behaviour: 'planned' }));

test('every kind of Istio and Gateway API has a place to say that it is not built, within its own schema', () => {
  expect(kinds.length).toBeGreaterThan(20);
  for (const kind of kinds) {
    for (const version of kind.versions) {
      const object: ConfigObject = {
        apiVersion: apiVersionOf({ kind, version }),
        kind: kind.kind,
        metadata: { name: 'x', namespace: 'default', generation: 3 },
        spec: {
          parentRefs: [{ name: 'gateway' }],
          targetRefs: [{ group: '', kind: 'Service', name: 's' }],
          parentRef: { name: 'gateway' },
        },
      };
      const warnings: string[] = [];
      const marked = markPlannedBehaviour(object, { kind, version }, new Date(0), (text) =>
        warnings.push(text),
      );
      const title = `${kind.kind} ${version.name}`;
      expect(warnings, title).toHaveLength(1);
      expect(JSON.stringify(marked), title).toContain('NotImplemented');
      const verdict = admitSchema({ kind, version, object: marked, old: undefined });
      const complaints = verdict.issues
        .filter((issue) => issue.path.startsWith('status'))
        .map((issue) => `${issue.path}: ${issue.message}`);
      expect(complaints, title).toEqual([]);
      expect(
        verdict.unknownFields.filter((path) => path.startsWith('status')),
        title,
      ).toEqual([]);
      // Marking again changes nothing: no write, no new generation of anybody's watch.
      expect(
        markPlannedBehaviour(marked, { kind, version }, new Date(99_000), () => {}),
        title,
      ).toEqual(marked);
    }
  }
});

test('kinds that are built or only stored are left alone', () => {
  const registry = createBuiltInRegistry();
  const kind = registry.byKind('', 'ConfigMap');
  const version = kind?.versions[0];
  if (!kind || !version) throw new Error('no ConfigMap');
  const object: ConfigObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } };
  expect(markPlannedBehaviour(object, { kind, version }, new Date(0), () => {})).toBe(object);
});
