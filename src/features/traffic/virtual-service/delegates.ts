import { resolveHost } from '../../../plan/hosts.ts';
import type { View } from '../../../snapshot/view.ts';
import { mergeMatches, mergeProblem, resolvedMatches } from './merge-matches.ts';
import {
  type HttpRoute,
  namespaceOf,
  type VirtualService,
  virtualServiceFacts,
  virtualServiceKind,
} from './virtual-service.ts';

/** An HTTP route as it is in force: of the virtual service itself, or of one that it delegates to. */
export interface HttpRule {
  readonly http: HttpRoute;
  /** Whose text it is: short names and origins are of this object. */
  readonly owner: VirtualService;
  /** Place in the owner, `spec.http[0]`. */
  readonly path: string;
  /** Places of the matches in the owner, one for each of `http.match`. */
  readonly matchPaths: readonly string[];
  /** Why requests that match are answered 500 instead, in words for the client: names are in the status. */
  readonly broken?: string;
}

/**
 * The HTTP routes of a virtual service in order, each route that delegates replaced by those of its delegate.
 * @see https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
 */
export function httpRules(view: View, service: VirtualService): HttpRule[] {
  return (service.spec?.http ?? []).flatMap((http, index) => {
    const path = `spec.http[${index}]`;
    if (!http.delegate) return [own(service, http, path)];
    const found = delegateOf(view, service, http.delegate);
    if ('missing' in found)
      return [{ ...own(service, http, path), broken: 'a route of this host delegates to nothing' }];
    return (found.delegate.spec?.http ?? []).flatMap((leaf, at) =>
      merged(view, service, http, found.delegate, leaf, `spec.http[${at}]`),
    );
  });
}

function own(owner: VirtualService, http: HttpRoute, path: string): HttpRule {
  return { http, owner, path, matchPaths: (http.match ?? []).map((_, at) => `${path}.match[${at}]`) };
}

type Found = { readonly delegate: VirtualService } | { readonly missing: string };

/** The virtual service that a route of `root` delegates to, or what is wrong with the reference. */
export function delegateOf(
  view: View,
  root: VirtualService,
  { name = '', namespace }: NonNullable<HttpRoute['delegate']>,
): Found {
  const key = `${namespace || namespaceOf(root)}/${name}`;
  const delegate = view.get(virtualServiceKind, key);
  const exportTo = view.call(virtualServiceFacts, key)?.exportTo ?? [];
  if (!delegate) return { missing: `there is no VirtualService ${key} to delegate to` };
  if (delegate.spec?.hosts?.length)
    return { missing: `VirtualService ${key} has hosts of its own, so that nothing can be delegated to it` };
  const target = namespaceOf(root);
  const shown = exportTo.some(
    (to) => to === '*' || to === target || (to === '.' && namespaceOf(delegate) === target),
  );
  return shown
    ? { delegate }
    : { missing: `VirtualService ${key} is not exported to the namespace ${target}` };
}

function merged(
  view: View,
  root: VirtualService,
  http: HttpRoute,
  delegate: VirtualService,
  leaf: HttpRoute,
  path: string,
): HttpRule[] {
  // Requests that match neither side go on to the next route, as if the leaf were not there.
  const [outer, inner] = [resolvedMatches(root, http), resolvedMatches(delegate, leaf)];
  if (mergeProblem(outer, inner) !== undefined) return [];
  const rule = own(delegate, { ...inherit(view, root, http, leaf), ...nameOf(http, leaf) }, path);
  const pairs = mergeMatches(outer, inner);
  const match = pairs.map((pair) => pair.match);
  const places = pairs.map(({ leaf: at }) => (at < 0 ? path : `${path}.match[${at}]`));
  return [
    {
      ...rule,
      http: match.length > 0 ? { ...rule.http, match } : rule.http,
      matchPaths: places,
      ...(leaf.delegate ? { broken: 'a route of this host delegates further than one level' } : {}),
    },
  ];
}

function nameOf(root: HttpRoute, leaf: HttpRoute): { name?: string } {
  const name = [root.name, leaf.name].filter(Boolean).join('-');
  return name === '' ? {} : { name };
}

const inherited = ['rewrite', 'timeout', 'retries', 'fault', 'corsPolicy', 'headers'] as const;

/** What the leaf leaves open comes from the root. */
function inherit(view: View, root: VirtualService, http: HttpRoute, leaf: HttpRoute): HttpRoute {
  const result: HttpRoute = { ...leaf };
  for (const field of inherited)
    if (result[field] === undefined && http[field] !== undefined)
      Object.assign(result, { [field]: http[field] });
  if (leaf.mirror || leaf.mirrors) return result;
  const { mirror, mirrors, mirrorPercent, mirror_percent: oldPercent, mirrorPercentage } = http;
  const suffix = view.mesh('domainSuffix');
  const full = <T extends { host: string }>(to: T): T => ({
    ...to,
    host: resolveHost(to.host, namespaceOf(root), suffix),
  });
  return {
    ...result,
    ...(mirror ? { mirror: full(mirror) } : {}),
    ...(mirrors
      ? { mirrors: mirrors.map((item) => ({ ...item, destination: full(item.destination) })) }
      : {}),
    ...(mirrorPercent !== undefined ? { mirrorPercent } : {}),
    ...(oldPercent !== undefined ? { mirror_percent: oldPercent } : {}),
    ...(mirrorPercentage !== undefined ? { mirrorPercentage } : {}),
  };
}
