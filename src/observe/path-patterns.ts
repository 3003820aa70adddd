/** More different values than this at one place of paths are taken for a parameter. */
const mostValues = 8;
/** Most patterns of one set; beyond, whole trees become one prefix. */
const mostPatterns = 12;

interface Tree {
  /** A path ends here. */
  ends: boolean;
  readonly children: Map<string, Tree>;
}

const parameter = '{*}';

/**
 * Patterns as AuthorizationPolicy has them that take all of some paths, and of others as few as sensible: what looks like an identifier, or
 * has many values, becomes `{*}`; where that leaves too many, trees become prefixes. Sorted.
 */
export function pathPatterns(paths: Iterable<string>): string[] {
  const root: Tree = { ends: false, children: new Map() };
  for (const path of paths) insert(root, path.split('/').slice(1).map(generalized));
  collapse(root);
  const found = patternsOf(root, '');
  return found.length > mostPatterns ? asPrefixes(root) : found.sort();
}

/** Numbers, UUIDs, hashes and other things that nobody names by hand. */
function generalized(segment: string): string {
  const isId =
    /^\d+$/.test(segment) ||
    /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(segment) ||
    (segment.length >= 12 &&
      /\d/.test(segment) &&
      /^[A-Za-z0-9_=-]+$/.test(segment) &&
      !/\.[a-z]+$/.test(segment)) ||
    // What would be read as a pattern cannot be written as itself.
    /[*{}]/.test(segment);
  return isId ? parameter : segment;
}

function insert(tree: Tree, segments: readonly string[]): void {
  let at = tree;
  for (const segment of segments) {
    let next = at.children.get(segment);
    if (!next) {
      next = { ends: false, children: new Map() };
      at.children.set(segment, next);
    }
    at = next;
  }
  at.ends = true;
}

function collapse(tree: Tree): void {
  if (tree.children.size > mostValues) {
    const merged: Tree = { ends: false, children: new Map() };
    for (const child of tree.children.values()) merge(merged, child);
    tree.children.clear();
    tree.children.set(parameter, merged);
  }
  for (const child of tree.children.values()) collapse(child);
}

function merge(into: Tree, other: Tree): void {
  into.ends ||= other.ends;
  for (const [segment, child] of other.children) {
    const known = into.children.get(segment);
    if (known) merge(known, child);
    else into.children.set(segment, child);
  }
}

function patternsOf(tree: Tree, prefix: string): string[] {
  const below = [...tree.children].flatMap(([segment, child]) => patternsOf(child, `${prefix}/${segment}`));
  return tree.ends ? [prefix === '' ? '/' : prefix, ...below] : below;
}

/** One prefix for each first segment. */
function asPrefixes({ children }: Tree): string[] {
  const firsts = [...children.keys()];
  if (firsts.includes(parameter) || firsts.length > mostPatterns) return ['/*'];
  return firsts.flatMap((segment) => (segment === '' ? ['/'] : [`/${segment}`, `/${segment}/*`])).sort();
}
