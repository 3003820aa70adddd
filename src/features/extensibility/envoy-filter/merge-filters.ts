import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { meansFilter } from './names.ts';
import { mergeValue } from './patch-run.ts';
import type { Patch } from './schema.ts';

/**
 * Merges a patch into the filters of a list that it names, in place: settings of one type field by field, those of another type take
 * the place. A filter keeps its name where the patch's is another word for it. Returns whether there is such a filter.
 */
export function mergeFilters<D extends DescMessage>(
  schema: D,
  filters: readonly (MessageShape<D> & { name: string })[],
  patch: Patch,
  matches: (filter: { readonly name: string }) => boolean,
): boolean {
  const found = filters.filter(matches);
  for (const filter of found) {
    const { name } = filter;
    mergeValue(schema, filter, patch);
    if (meansFilter(filter.name, name)) filter.name = name;
  }
  return found.length > 0;
}
