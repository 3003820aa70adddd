import type { VirtualServiceHttpCorsPolicyAllowOrigins } from '../../../../gen/crd/types/istio/virtual-service.ts';
import {
  gatewayKey,
  type HttpMatch,
  type HttpRoute,
  namespaceOf,
  type VirtualService,
} from './virtual-service.ts';

type Text = VirtualServiceHttpCorsPolicyAllowOrigins;

export interface MergedMatch {
  readonly match: HttpMatch;
  /** Index of the delegate's match; -1: it has none. */
  readonly leaf: number;
}

/** Every match of the delegate together with every match of the root that it lies within; either side may have none. */
export function mergeMatches(roots: readonly HttpMatch[], leaves: readonly HttpMatch[]): MergedMatch[] {
  if (leaves.length === 0) return roots.map((match) => ({ match, leaf: -1 }));
  return leaves.flatMap((leaf, at) =>
    roots.length === 0
      ? [{ match: leaf, leaf: at }]
      : roots
          .filter((root) => conflict(root, leaf) === undefined)
          .map((root) => ({ match: mergeMatch(root, leaf), leaf: at })),
  );
}

/** A route's matches with names of gateways that mean the same in every namespace. */
export function resolvedMatches(owner: VirtualService, { match = [] }: HttpRoute): HttpMatch[] {
  return match.map((one) =>
    one.gateways
      ? { ...one, gateways: one.gateways.map((name) => gatewayKey(name, namespaceOf(owner))) }
      : one,
  );
}

/** Both must hold. Where both speak of one thing the leaf is the narrower (see mergeProblem). */
function mergeMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  const { name: _, ...parts } = { ...root, ...leaf };
  const name = [root.name, leaf.name].filter(Boolean).join('-');
  const joined = <T>(a: Record<string, T> | undefined, b: Record<string, T> | undefined) =>
    a || b ? { ...a, ...b } : undefined;
  const maps = {
    headers: joined(root.headers, leaf.headers),
    withoutHeaders: joined(root.withoutHeaders, leaf.withoutHeaders),
    queryParams: joined(root.queryParams, leaf.queryParams),
    sourceLabels: joined(root.sourceLabels, leaf.sourceLabels),
  };
  const port = leaf.port || root.port;
  const gateways = leaf.gateways?.length ? leaf.gateways : root.gateways;
  return {
    ...parts,
    ...Object.fromEntries(Object.entries(maps).filter(([, value]) => value !== undefined)),
    ...(name === '' ? {} : { name }),
    ...(port ? { port } : {}),
    ...(gateways?.length ? { gateways } : {}),
  };
}

/**
 * Why a leaf cannot be merged: some match of it lies within no match of the root. Such a route does not take effect, as Istio
 * documents. undefined: nothing. Both sides as resolvedMatches makes them.
 */
export function mergeProblem(roots: readonly HttpMatch[], leaves: readonly HttpMatch[]): string | undefined {
  for (const [at, leaf] of leaves.entries()) {
    const fields = roots.map((root) => conflict(root, leaf));
    const [field] = fields;
    if (field === undefined || fields.includes(undefined)) continue;
    return fields.length === 1
      ? `match[${at}].${field} is not within the ${field} of the root's match[0]`
      : `match[${at}] is within none of the root's ${fields.length} matches: its ${field} is not within the ${field} of match[0]`;
  }
  return undefined;
}

function conflict(root: HttpMatch, leaf: HttpMatch): string | undefined {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const)
    if (!isWithin(root[field], leaf[field])) return field;
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const)
    for (const [name, text] of Object.entries(root[field] ?? {}))
      if (leaf[field] && name in leaf[field] && !isWithin(text, leaf[field][name])) return `${field}.${name}`;
  if (root.uri && leaf.uri && (root.ignoreUriCase ?? false) !== (leaf.ignoreUriCase ?? false))
    return 'ignoreUriCase';
  if (root.port && leaf.port && root.port !== leaf.port) return 'port';
  for (const [name, value] of Object.entries(root.sourceLabels ?? {}))
    if ((leaf.sourceLabels?.[name] ?? value) !== value) return `sourceLabels.${name}`;
  if (root.sourceNamespace && leaf.sourceNamespace && root.sourceNamespace !== leaf.sourceNamespace)
    return 'sourceNamespace';
  const outer = root.gateways ?? [];
  return outer.length > 0 && leaf.gateways?.some((name) => !outer.includes(name)) ? 'gateways' : undefined;
}

/** Whether every text that the leaf takes is one that the root takes. Expressions are not looked into. */
function isWithin(root: Text | undefined, leaf: Text | undefined): boolean {
  if (!root || !leaf || isPresence(root)) return true;
  if (root.regex !== undefined || leaf.regex !== undefined)
    return root.regex !== undefined && root.regex === leaf.regex;
  if (root.exact !== undefined) return leaf.exact === root.exact;
  const text = leaf.exact ?? leaf.prefix;
  return text?.startsWith(root.prefix ?? '') ?? false;
}

function isPresence(text: Text): boolean {
  return text.exact === undefined && text.prefix === undefined && text.regex === undefined;
}
