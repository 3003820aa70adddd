import { identityOf } from '../explain/hop.ts';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import { getOrMake } from '../kit/maps.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { Conditions } from '../request-space/conditions.ts';
import { answersTo } from '../request-space/dimensions.ts';
import { type Departure, depart, departAsStranger, send } from '../request-space/journey.ts';
import type { Sender } from '../request-space/senders.ts';
import type { Variant } from '../request-space/space.ts';
import { type Surroundings, surroundingsOf } from '../request-space/surroundings.ts';
import { otherNames } from './other-names.ts';
import type { SenderClass } from './sender-classes.ts';
import { hostNames, type Target, targetUrl, unknownHost } from './target.ts';
import type { Stranger, Task } from './tasks.ts';

/** One of the two sides of a crossing. */
export interface CrossingSide {
  readonly departure: Departure;
  readonly surroundings: Surroundings;
}

/** Requests of senders that are alike to one host and port, before and after. */
export interface Crossing {
  readonly target: Target;
  /** Without path. */
  readonly url: string;
  /** The Host that is sent where it is not the URL's. */
  readonly host?: string;
  /** Stands for every request whose Host is not its URL's. */
  readonly anyOtherHost?: true;
  /** `namespace/name` of the sender that is followed; of strangers, of whom they call. */
  readonly from: string;
  readonly outside: boolean;
  /** The port that is called past every proxy but the one there. */
  readonly strangerPort?: number;
  /** None: strangers. */
  readonly senders: readonly string[];
  /** Whose own addresses the target stands for; none: it is called by name, or by an address that is nobody's. */
  readonly places: readonly string[];
  readonly sides: readonly [before: CrossingSide, after: CrossingSide];
}

/** The name that people write, where nothing tells names apart. */
function withShortName(crossing: Crossing): Crossing {
  const { target, sides, senders, outside } = crossing;
  if (parseIp(target.host) || senders.length === 0) return crossing;
  const [before, after] = sides.map(({ surroundings }) => hostNames(surroundings.host?.domains ?? []));
  const shared = (before ?? []).filter((name) => after?.includes(name));
  // Where any name is taken, or no proxy has a say, the resolver's rules are all there is.
  const free = shared.length === 0 || shared.includes(unknownHost);
  const names = free && !outside ? shortNames(target.host, senders) : shared;
  const [host = unknownHost] = names
    .filter((name) => !parseIp(name) && !name.endsWith('.'))
    .sort((a, b) => a.length - b.length);
  if (host === unknownHost || host.length >= target.host.length) return crossing;
  return { ...crossing, url: targetUrl({ ...target, host }) };
}

/** Of a Kubernetes service, to workloads (`namespace/name`). */
function shortNames(host: string, senders: readonly string[]): string[] {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc\./.exec(host) ?? [];
  if (name === undefined || namespace === undefined) return [];
  return senders.every((sender) => sender.startsWith(`${namespace}/`)) ? [name] : [`${name}.${namespace}`];
}

/** What tasks come to, with one of each kind of sender. */
export function crossingsOf(before: Model, after: Model, tasks: readonly Task[]): Crossing[] {
  const old = attemptsOf(before, tasks);
  const now = attemptsOf(after, tasks);
  const answers = new SenderAnswers(before, after);
  const groups = new Map<string, Group>();
  for (const [id, first] of old) {
    const second = now.get(id);
    if (!second) continue;
    const asked = new Conditions();
    for (const { surroundings } of [first, second]) asked.addAll(surroundings.beyond);
    const { scheme, port } = first.task.target;
    const { host = '', anyOtherHost = '' } = first.task;
    const way = [scheme, port, host, anyOtherHost, ...[first, second].map((side) => wayOf(side))].join('|');
    if (!first.class) addTo(groups, way, first, second, undefined);
    for (const sender of first.class?.senders ?? [])
      addTo(groups, `${way} ${answers.of(sender, asked)}`, first, second, sender);
  }
  const sides = [new Map<Group, Departure>(), new Map<Group, Departure>()] as const;
  for (const [index, model] of [before, after].entries())
    for (const group of groups.values()) {
      const { first } = group;
      const departure = ownDeparture(model, group, index === 0 ? first : group.second);
      if (departure) sides[index]?.set(group, departure);
    }
  return [...groups.values()].flatMap((group): Crossing[] => {
    const [was, is] = [sides[0].get(group), sides[1].get(group)];
    return was && is ? named(before, after, crossingOf(group, was, is)) : [];
  });
}

interface Attempt {
  readonly task: Task;
  readonly url: string;
  /** Absent: strangers. */
  readonly class?: SenderClass;
  readonly stranger?: Stranger;
  readonly departure: Departure;
  readonly surroundings: Surroundings;
}

interface Group {
  readonly first: Attempt;
  readonly second: Attempt;
  /** The one that is followed; absent: strangers. */
  readonly at: ModelWorkload | undefined;
  readonly senders: Set<string>;
  readonly places: Set<string>;
}

function addTo(
  groups: Map<string, Group>,
  key: string,
  first: Attempt,
  second: Attempt,
  sender: Sender | undefined,
): void {
  const group = getOrMake(groups, `${key} ${sender === undefined}`, () => ({
    first,
    second,
    at: sender?.at,
    senders: new Set<string>(),
    places: new Set<string>(),
  }));
  for (const member of sender?.members ?? []) group.senders.add(member);
  for (const place of first.task.places) group.places.add(place);
  const server = first.stranger?.server ?? '';
  if (first.task.places.length === 0 && server !== '') group.places.add(server);
}

/** As the member of its class sets out that is followed. */
function ownDeparture(
  model: Model,
  { at }: Group,
  { class: own, departure, url }: Attempt,
): Departure | undefined {
  if (!at || at.key === own?.first.at.key) return departure;
  const here = model.workloads.get(at.key);
  return here && depart(model, here, url);
}

function crossingOf({ first, second, at, senders, places }: Group, was: Departure, is: Departure): Crossing {
  const { task, url, stranger } = first;
  const [owner = ''] = places;
  return {
    target: task.target,
    url,
    ...(task.host === undefined ? {} : { host: task.host }),
    ...(task.anyOtherHost ? { anyOtherHost: true } : {}),
    from: at?.key ?? owner,
    outside: at?.proxy?.type === 'router',
    ...(stranger === undefined ? {} : { strangerPort: stranger.port }),
    senders: [...senders],
    places: [...places],
    sides: [
      { departure: was, surroundings: first.surroundings },
      { departure: is, surroundings: second.surroundings },
    ],
  };
}

function named(before: Model, after: Model, crossing: Crossing): Crossing[] {
  if (crossing.host !== undefined) return [crossing];
  const others = otherNames(before, after, crossing);
  return others === undefined ? [withShortName(crossing)] : [crossing, ...others];
}

const first: Variant = { path: '/', method: 'GET', headers: {} };

/** All departures of one model together: they ask for its world. */
function attemptsOf(model: Model, tasks: readonly Task[]): Map<string, Attempt> {
  const attempts = new Map<string, Attempt>();
  for (const task of tasks) {
    const url = targetUrl(task.target);
    const variant = task.host === undefined ? first : { ...first, host: task.host };
    const add = (
      id: string,
      departure: Departure | undefined,
      who: Pick<Attempt, 'class' | 'stranger'>,
    ): void => {
      if (!departure) return;
      const surroundings = surroundingsOf(model, send(departure, variant));
      attempts.set(`${url} ${task.host} ${task.anyOtherHost} ${id}`, {
        task,
        url,
        departure,
        surroundings,
        ...who,
      });
    };
    for (const one of task.senders) {
      const here = model.workloads.get(one.first.at.key);
      if (here) add(here.key, depart(model, here, url), { class: one });
    }
    for (const [key, stranger] of task.strangers) {
      const server = model.workloads.get(key) ?? key;
      add(`stranger ${key}`, departAsStranger(model, server, url, stranger.port), { stranger });
    }
  }
  return attempts;
}

/** Changes whenever what takes a request on its way does. */
function wayOf({ surroundings, departure: { start } }: Attempt): string {
  return `${surroundings.footprint} ${'target' in start ? start.target.address : ''}`;
}

/** Senders with equal answers meet equal conditions alike. */
class SenderAnswers {
  readonly #before: Model;
  readonly #after: Model;
  readonly #known = new Map<string, Map<Sender, string>>();

  constructor(before: Model, after: Model) {
    this.#before = before;
    this.#after = after;
  }

  of(sender: Sender, asked: Conditions): string {
    const kind = [...asked.identities.keys(), ...asked.sources.keys()].join('\n');
    const known = getOrMake(this.#known, kind, () => new Map<Sender, string>());
    return getOrMake(known, sender, () => {
      const sides = [this.#before, this.#after].map((model) => {
        const here = model.workloads.get(sender.at.key);
        return here ? senderAnswers(model, here, asked) : [];
      });
      return sides.flat().join('|');
    });
  }
}

function senderAnswers(
  model: Model,
  { proxy, workload, ...rest }: ModelWorkload,
  asked: Conditions,
): string[] {
  const identity = proxy ? identityOf(model.mesh.trustDomain, { ...rest, workload }) : '';
  const ip = parseIp(workload.addresses[0] ?? '');
  const ranges = [...asked.sources.keys()].map((text) => {
    const range = parseCidr(text);
    return range && ip && cidrContains(range, ip) ? '1' : '0';
  });
  return [answersTo(asked.identities.values(), identity), ranges.join(''), proxy?.type ?? 'none'];
}
