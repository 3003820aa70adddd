import type { Model } from '../model/model.ts';
import { Conditions, conditionsIn } from '../request-space/conditions.ts';
import { answersTo, authorityValues } from '../request-space/dimensions.ts';
import { type Departure, depart, send } from '../request-space/journey.ts';
import type { Variant } from '../request-space/space.ts';
import { surroundingsOf } from '../request-space/surroundings.ts';
import { type TextCondition, textCondition } from '../request-space/text-condition.ts';
import type { Crossing, CrossingSide } from './crossings.ts';
import { hostNames } from './target.ts';

const first: Variant = { path: '/', method: 'GET', headers: {} };

/**
 * The same requests under other names of the host, one for each set of conditions on names that some name meets: names that lead to the same
 * place where there are some, else the same URL with another Host. Undefined: nothing tells names apart.
 */
export function otherNames(before: Model, after: Model, crossing: Crossing): Crossing[] | undefined {
  const { target, sides, strangerPort, url } = crossing;
  const asked = new Conditions();
  const domains = new Set<string>();
  for (const { surroundings } of sides) {
    asked.addAll(surroundings.beyond);
    for (const route of surroundings.host?.routes ?? []) asked.addAll(conditionsIn(route));
    for (const domain of surroundings.host?.domains ?? resolvableNames(target.host)) domains.add(domain);
  }
  const http = target.scheme === 'http' || target.scheme === 'https';
  if (!http || asked.authorities.size === 0) return undefined;
  const conditions = [...asked.authorities.values()];
  const seen = new Set([answersTo(conditions, url.slice(url.indexOf('//') + 2))]);
  const found: Crossing[] = [];
  const add = (authority: string, other: Crossing | undefined): void => {
    if (!other) return;
    seen.add(answersTo(conditions, authority));
    found.push(other);
  };
  for (const authority of strangerPort === undefined ? candidates(target.port, [...domains], conditions) : [])
    if (!seen.has(answersTo(conditions, authority)))
      add(authority, underName(before, after, crossing, `${target.scheme}://${authority}`));
  for (const host of hostsToSend(crossing, conditions))
    if (!seen.has(answersTo(conditions, host))) add(host, withHost(before, after, crossing, host));
  return found;
}

/** Names of a Kubernetes service, for senders whose proxy knows none. */
function resolvableNames(host: string): string[] {
  const [name = '', namespace = '', svc, ...domain] = host.split('.');
  if (svc !== 'svc') return [host];
  return [host, `${name}.${namespace}.svc`, `${name}.${namespace}`, name, `${host}.`].filter(
    () => domain.length > 0,
  );
}

/** Names of the domains as people write them, and what patterns among them leave open. */
function* candidates(
  port: number,
  domains: readonly string[],
  conditions: readonly TextCondition[],
): Generator<string> {
  const usual = port === 80 || port === 443;
  const written = (name: string): string[] => (usual ? [name, `${name}:${port}`] : [`${name}:${port}`]);
  const names = hostNames(domains);
  for (const name of names) yield* written(name);
  for (const name of names) yield* written(name.toUpperCase());
  const patterns = domains.filter((domain) => domain.startsWith('*') || domain.endsWith('*'));
  if (patterns.length === 0) return;
  const own = patterns.flatMap((pattern) => domainCondition(pattern) ?? []);
  for (const text of authorityValues([...conditions, ...own], []).values) {
    const colon = text.indexOf(':');
    const given = colon < 0 ? undefined : Number(text.slice(colon + 1));
    if (given === undefined ? usual : given === port) yield text;
    else if (colon < 0) yield `${text}:${port}`;
  }
}

function domainCondition(domain: string): TextCondition | undefined {
  if (domain.startsWith('*')) return textCondition({ case: 'suffix', value: domain.slice(1) }, true);
  if (domain.endsWith('*')) return textCondition({ case: 'prefix', value: domain.slice(0, -1) }, true);
  return textCondition({ case: 'exact', value: domain }, true);
}

/** What clients may send as Host: what the first proxy takes for the same virtual host; where there is none, anything. */
function hostsToSend({ sides }: Crossing, conditions: readonly TextCondition[]): readonly string[] {
  const domains = new Set(sides.flatMap(({ surroundings }) => surroundings.host?.domains ?? []));
  if (domains.size === 0) return authorityValues(conditions, []).values;
  const known = [...domains].flatMap((domain) => domainCondition(domain) ?? []);
  return authorityValues([...conditions, ...known], [...domains]).values.filter((text) =>
    answersTo(known, text).includes('1'),
  );
}

function addressOf(departure: Departure | undefined): string | undefined {
  return departure && 'target' in departure.start ? departure.start.target.address : undefined;
}

/** Undefined: the name leads to another place. */
function underName(before: Model, after: Model, crossing: Crossing, url: string): Crossing | undefined {
  const sides: CrossingSide[] = [];
  for (const [index, model] of [before, after].entries()) {
    const at = model.workloads.get(crossing.from);
    const departure = at && depart(model, at, url);
    if (!departure) return undefined;
    const surroundings = surroundingsOf(model, send(departure, first));
    if (surroundings.host?.name !== crossing.sides[index]?.surroundings.host?.name) return undefined;
    if (addressOf(departure) !== addressOf(crossing.sides[index]?.departure)) return undefined;
    sides.push({ departure, surroundings });
  }
  const [old, now] = sides;
  return old && now ? { ...crossing, url, sides: [old, now] } : undefined;
}

/** Undefined: with this Host another virtual host takes it. */
function withHost(before: Model, after: Model, crossing: Crossing, host: string): Crossing | undefined {
  for (const [index, model] of [before, after].entries()) {
    const side = crossing.sides[index] as CrossingSide;
    if (!side.surroundings.host) continue;
    const { host: found } = surroundingsOf(model, send(side.departure, { ...first, host }));
    if (found?.name !== side.surroundings.host?.name) return undefined;
  }
  return { ...crossing, host };
}
