import type { Route, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { Conditions, conditionsIn } from './conditions.ts';
import {
  addressValues,
  answersTo,
  type Claims,
  methodValues,
  optionalValues,
  pathValues,
  tokenValues,
  type Values,
} from './dimensions.ts';
import { beforeReplacement, beforeRewrite, foundCondition, type TextCondition } from './text-condition.ts';

/** What makes one request to a host different from another. */
export interface Variant {
  /** With query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The Host that is sent where it is not the URL's. */
  readonly host?: string;
  readonly claims?: Claims;
  /** Of a client outside. */
  readonly address?: string;
}

/** Where the requests of a space are decided. */
export interface SpaceInput {
  /** Virtual hosts of the caller's proxy, of all configurations that are compared. */
  readonly hosts: readonly VirtualHost[];
  /** Whatever else decides: filters of the caller's proxy, and what the servers behind it ask. */
  readonly beyond: Conditions;
  /** The address that a client outside has; absent: the caller's address is known. */
  readonly outside?: string;
}

export interface SpaceLimits {
  /** Combinations of headers, query parameters, methods and tokens for one path, at most. */
  readonly perPath: number;
}

export const defaultSpaceLimits: SpaceLimits = { perPath: 3000 };

/** The requests of a space, one for each class, those that read simplest first. */
export interface Space {
  readonly variants: Iterable<Variant>;
  /** What is not looked at, in words. Complete once the variants were read. */
  readonly cuts: Set<string>;
}

interface RouteConditions {
  readonly own: Conditions;
  readonly paths: readonly TextCondition[];
}

export function requestSpace(input: SpaceInput, limits: SpaceLimits = defaultSpaceLimits): Space {
  const cuts = new Set<string>();
  const routes = input.hosts.flatMap(({ routes: list }) =>
    list.map((route): RouteConditions => {
      const own = conditionsIn(route);
      return { own, paths: [...own.paths.values()] };
    }),
  );
  const everything = new Conditions();
  everything.addAll(input.beyond);
  for (const { own } of routes) everything.addAll(own);
  for (const what of everything.unknown) cuts.add(`${what} is not enumerated`);
  const paths = new Map(everything.paths);
  for (const one of rewritten(input, cuts)) paths.set(one.key, one);
  const found = pathValues(paths.values());
  if (found.cut) cuts.add('there are too many kinds of paths');
  return { variants: combine(input, routes, found.values, limits, cuts), cuts };
}

/** What routes rewrite by regular expressions, and conditions of servers on paths, as they are before the routes rewrite them. */
function* rewritten({ hosts, beyond }: SpaceInput, cuts: Set<string>): Generator<TextCondition> {
  for (const { routes } of hosts)
    for (const route of routes) {
      const prefix = rewrittenPrefix(route);
      if (prefix) {
        const fold = route.match?.caseSensitive === false;
        for (const condition of beyond.paths.values())
          yield beforeRewrite(condition, prefix.from, prefix.to, fold);
      }
      const replace = route.action.case === 'route' ? route.action.value.regexRewrite : undefined;
      // Other paths go on as they are.
      if (replace) yield foundCondition(replace.pattern?.regex ?? '');
      for (const condition of replace ? beyond.paths.values() : []) {
        const { pattern, substitution = '' } = replace ?? {};
        const found = beforeReplacement(condition, pattern?.regex ?? '', substitution);
        if (found) yield found;
        else
          cuts.add(
            `paths that the regular expression ${pattern?.regex} rewrites are not followed to the conditions of the server`,
          );
      }
    }
}

function rewrittenPrefix({ match, action }: Route): { from: string; to: string } | undefined {
  const to = action.case === 'route' ? action.value.prefixRewrite : '';
  const spec = match?.pathSpecifier;
  if (to === '' || (spec?.case !== 'prefix' && spec?.case !== 'pathSeparatedPrefix')) return undefined;
  return { from: spec.value, to };
}

function* combine(
  input: SpaceInput,
  routes: readonly RouteConditions[],
  paths: readonly string[],
  limits: SpaceLimits,
  cuts: Set<string>,
): Generator<Variant> {
  const known = new Map<string, Dimensions>();
  for (const path of paths) {
    const relevant = routes.map((route) => meets(route, path));
    const key = relevant.map((holds) => (holds ? '1' : '0')).join('');
    let dimensions = known.get(key);
    if (!dimensions) {
      const conditions = new Conditions();
      conditions.addAll(input.beyond);
      routes.forEach(({ own }, index) => {
        if (relevant[index]) conditions.addAll(own);
      });
      dimensions = dimensionsOf(conditions, input.outside, cuts);
      known.set(key, dimensions);
    }
    let left = limits.perPath;
    for (const variant of product(path, dimensions)) {
      if (left-- <= 0) {
        cuts.add(
          `there are more than ${limits.perPath} combinations of headers, methods and tokens for ${path}`,
        );
        break;
      }
      yield variant;
    }
  }
}

/** A route without a condition on the path meets every path. */
function meets({ paths }: RouteConditions, path: string): boolean {
  return paths.length === 0 || answersTo(paths, path).includes('1');
}

interface Dimensions {
  readonly methods: readonly string[];
  readonly headers: readonly (readonly [string, readonly (string | undefined)[]])[];
  readonly parameters: readonly (readonly [string, readonly (string | undefined)[]])[];
  readonly tokens: readonly (Claims | undefined)[];
  readonly addresses: readonly (string | undefined)[];
}

const forwardedFor = 'x-forwarded-for';

function dimensionsOf(conditions: Conditions, outside: string | undefined, cuts: Set<string>): Dimensions {
  const take = <T>(what: string, { values, cut }: Values<T>): readonly T[] => {
    if (cut) cuts.add(`there are too many kinds of ${what}`);
    return values;
  };
  const named = (what: string, map: ReadonlyMap<string, ReadonlyMap<string, TextCondition>>) =>
    [...map].map(([name, list]) => [name, take(`${what} ${name}`, optionalValues(list))] as const);
  const addresses = conditions.sources.size === 0 ? [] : addressValues(conditions, outside ?? '198.51.100.1');
  return {
    methods: take('methods', methodValues(conditions)),
    headers: [
      ...named('header', conditions.headers),
      ...(addresses.length > 0 ? [[forwardedFor, [undefined, ...addresses]] as const] : []),
    ],
    parameters: named('query parameter', conditions.parameters),
    tokens: take('tokens', tokenValues(conditions)),
    addresses: outside !== undefined && addresses.length > 0 ? addresses : [undefined],
  };
}

function* product(path: string, dimensions: Dimensions): Generator<Variant> {
  for (const address of dimensions.addresses)
    for (const claims of dimensions.tokens)
      for (const headers of choices(dimensions.headers))
        for (const parameters of choices(dimensions.parameters))
          for (const method of dimensions.methods) {
            const query = new URLSearchParams(parameters).toString();
            yield {
              path: query === '' ? path : `${path}?${query}`,
              method,
              headers,
              ...(claims ? { claims } : {}),
              ...(address === undefined ? {} : { address }),
            };
          }
}

function* choices(
  dimensions: readonly (readonly [string, readonly (string | undefined)[]])[],
): Generator<Record<string, string>> {
  const [first, ...rest] = dimensions;
  if (!first) {
    yield {};
    return;
  }
  const [name, values] = first;
  for (const others of choices(rest))
    for (const value of values) yield value === undefined ? others : { ...others, [name]: value };
}
