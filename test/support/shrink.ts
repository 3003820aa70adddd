/**
 * Smaller versions of a value made of JSON, largest cuts first: an element or a field less, anywhere. Keys of `keep` stay where they are.
 */
function* smaller(value: unknown, keep: ReadonlySet<string>): Iterable<unknown> {
  if (Array.isArray(value)) {
    for (let i = value.length - 1; i >= 0; i--) yield value.toSpliced(i, 1);
    for (const [i, item] of value.entries())
      for (const less of smaller(item, keep)) yield value.toSpliced(i, 1, less);
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    for (const [key] of entries)
      if (!keep.has(key)) yield Object.fromEntries(entries.filter(([other]) => other !== key));
    for (const [key, inner] of entries)
      for (const less of smaller(inner, keep)) yield { ...value, [key]: less };
  }
}

/** The smallest value found that still fails, after at most `tries` questions. */
export async function shrink<T>(
  failing: T,
  stillFails: (candidate: T) => Promise<boolean>,
  options: { readonly tries: number; readonly keep: readonly string[] },
): Promise<T> {
  const keep = new Set(options.keep);
  let tries = options.tries;
  let best = failing;
  for (let progress = true; progress && tries > 0; ) {
    progress = false;
    for (const candidate of smaller(best, keep)) {
      if (tries-- <= 0) break;
      if (!(await stillFails(candidate as T))) continue;
      best = candidate as T;
      progress = true;
      break;
    }
  }
  return best;
}
