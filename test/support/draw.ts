import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';

export const maybe = <T extends object>(
  random: Random,
  p: number,
  part: () => T,
): T | Record<string, never> => (random.chance(p) ? part() : {});

export function some<T>(random: Random, items: readonly T[], p: number): T[] {
  return items.filter(() => random.chance(p));
}

/** An object of Istio's networking API, of one of two ages. */
export function objectOf(
  random: Random,
  kind: string,
  name: string,
  namespace: string,
  spec: Record<string, unknown>,
): ConfigObject {
  const creationTimestamp = random.pick(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']);
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name, namespace, creationTimestamp },
    spec,
  };
}
