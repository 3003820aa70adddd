import { defineQuery, type Key } from '../snapshot/query.ts';
import { usage } from './lazy.ts';

/*
 * Hosts that lazy proxies asked for and that nobody configured. They share virtual hosts: Envoy makes its whole table anew for each that
 * comes, in 20 to 40 µs for every virtual host of it, and one for each unknown host would soon make the next one wait. In several
 * groups, since a virtual host is sent with all of its domains for each that joins them.
 */

const groupCount = 16;

/** Names of the virtual hosts: no host has the sign in its name. */
export const unknownGroups: readonly string[] = Array.from({ length: groupCount }, (_, i) => `unknown~${i}`);

/** The group of a domain: always the same one. */
export function unknownGroup(domain: string): string {
  let hash = 0;
  for (let i = 0; i < domain.length; i++) hash = (Math.imul(hash, 31) + domain.charCodeAt(i)) | 0;
  return unknownGroups[(hash >>> 0) % groupCount] as string;
}

/** The domain of `<route configuration>/<domain>`. */
export function unknownDomain(entry: string): string {
  return entry.slice(entry.lastIndexOf('/') + 1);
}

const byGroup = defineQuery(
  'lazy.unknown-by-group',
  (view, stage: Key): Readonly<Record<string, readonly string[]>> => {
    const groups: Record<string, string[]> = {};
    for (const entry of view.call(usage, stage).unknown) {
      const group = unknownGroup(unknownDomain(entry));
      groups[group] ??= [];
      groups[group].push(entry);
    }
    return groups;
  },
);

/** `<route configuration>/<domain>` of the members of a group, sorted; as far as a stage (`UsageStage`) goes. */
export const unknownIn = defineQuery(
  'lazy.unknown-in',
  (view, stage: Key, group: Key): readonly string[] => view.call(byGroup, stage)[group] ?? [],
);
