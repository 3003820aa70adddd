import { type Kind, type KindRegistry, resourceName } from '../kind.ts';

/** A registry that holds the given kinds. A kind defined again takes the place of the older one. */
export function createKindRegistry(kinds: readonly Kind[] = []): KindRegistry {
  const byResource = new Map<string, Kind>();
  const byKind = new Map<string, Kind>();
  const kindKey = (group: string, kind: string) => `${group}/${kind}`;
  const remove = (group: string, plural: string) => {
    const name = resourceName({ group, plural });
    const known = byResource.get(name);
    if (!known) return;
    byResource.delete(name);
    byKind.delete(kindKey(group, known.kind));
  };
  const define = (kind: Kind) => {
    remove(kind.group, kind.plural);
    byResource.set(resourceName(kind), kind);
    byKind.set(kindKey(kind.group, kind.kind), kind);
  };
  for (const kind of kinds) define(kind);
  return {
    byResource(group, version, plural) {
      const kind = byResource.get(resourceName({ group, plural }));
      const found = kind?.versions.find((one) => one.name === version && one.served);
      return kind && found ? { kind, version: found } : undefined;
    },
    byKind: (group, kind) => byKind.get(kindKey(group, kind)),
    all: () => [...byResource.values()],
    define,
    remove,
  };
}
