import { getOrMake } from '../../kit/maps.ts';
import type { CompileFailure } from '../push.ts';
import type { Root } from './root-class.ts';

/** The failures of all classes that have members, one per failing call. */
export function collectFailures(roots: readonly Root[]): CompileFailure[] {
  const found = new Map<
    string,
    { query: string; args: readonly string[]; error: unknown; proxies: Set<string> }
  >();
  for (const root of roots)
    for (const item of root.classes.values()) {
      if (item.members.size === 0) continue;
      for (const { query, args, error } of item.allFailures()) {
        const id = JSON.stringify([query, args, String(error)]);
        const failure = getOrMake(found, id, () => ({ query, args, error, proxies: new Set<string>() }));
        for (const proxyId of item.ids) failure.proxies.add(proxyId);
      }
    }
  return [...found.values()];
}
