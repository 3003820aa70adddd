import type { Model } from '../model/model.ts';
import { Conditions, conditionsIn } from '../request-space/conditions.ts';
import { answersTo, authorityValues } from '../request-space/dimensions.ts';
import { type Departure, depart, send } from '../request-space/journey.ts';
import type { Variant } from '../request-space/space.ts';
import { surroundingsOf } from '../request-space/surroundings.ts';
import { type TextCondition, textCondition } from '../request-space/text-condition.ts';
import type { Crossing, CrossingSide } from './crossings.ts';
import { hostNames } from './targets.ts';

const first: Variant = { path: '/', method: 'GET', headers: {} };

/**
 * The same requests under other names of the host, one for each set of conditions on names that some name meets. Undefined: nothing tells
 * names apart.
 */
export function otherNames(before: Model, after: Model, crossing: Crossing): Crossing[] | undefined {
  const { target, sides, stranger, url } = crossing;
  const asked = new Conditions();
  const domains = new Set<string>();
  for (const { surroundings } of sides) {
    asked.addAll(surroundings.beyond);
    for (const route of surroundings.host?.routes ?? []) asked.addAll(conditionsIn(route));
    for (const domain of surroundings.host?.domains ?? resolvableNames(target.host)) domains.add(domain);
  }
  const http = target.scheme === 'http' || target.scheme === 'https';
  if (stranger || !http || asked.authorities.size === 0) return undefined;
  const conditions = [...asked.authorities.values()];
  const seen = new Set([answersTo(conditions, url.slice(url.indexOf('//') + 2))]);
  const found: Crossing[] = [];
  for (const authority of candidates(target.port, [...domains], conditions)) {
    const answers = answersTo(conditions, authority);
    if (seen.has(answers)) continue;
    const other = underName(before, after, crossing, `${target.scheme}://${authority}`);
    if (!other) continue;
    seen.add(answers);
    found.push(other);
  }
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
  const own = patterns.flatMap(
    (pattern) =>
      textCondition(
        pattern.startsWith('*')
          ? { case: 'suffix', value: pattern.slice(1) }
          : { case: 'prefix', value: pattern.slice(0, -1) },
        false,
      ) ?? [],
  );
  for (const text of authorityValues([...conditions, ...own], []).values) {
    const colon = text.indexOf(':');
    const given = colon < 0 ? undefined : Number(text.slice(colon + 1));
    if (given === undefined ? usual : given === port) yield text;
    else if (colon < 0) yield `${text}:${port}`;
  }
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
