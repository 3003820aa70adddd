import { identityOf } from '../explain/hop.ts';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { Conditions } from '../request-space/conditions.ts';
import { answersTo } from '../request-space/dimensions.ts';
import { type Departure, depart, departAsStranger, send } from '../request-space/journey.ts';
import { type Sender, sendersOf } from '../request-space/senders.ts';
import type { Variant } from '../request-space/space.ts';
import { type Surroundings, surroundingsOf } from '../request-space/surroundings.ts';
import { otherNames } from './other-names.ts';
import {
  changedServices,
  concernedTargets,
  hostNames,
  knownServices,
  servedTargets,
  type Target,
  targetUrl,
  unknownHost,
} from './targets.ts';
import type { ResourceChange, Touched, TouchedProxy } from './touched.ts';

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
  /** `namespace/name` of the sender that is followed. */
  readonly from: string;
  readonly outside: boolean;
  readonly stranger: boolean;
  readonly senders: readonly string[];
  readonly sides: readonly [before: CrossingSide, after: CrossingSide];
}

/** The name that people write, where nothing tells names apart. */
function withShortName(crossing: Crossing): Crossing {
  const { target, sides, stranger } = crossing;
  const [before, after] = sides.map(({ surroundings }) => hostNames(surroundings.host?.domains ?? []));
  const shared = (before ?? []).filter(
    (name) => after?.includes(name) && !parseIp(name) && !name.endsWith('.'),
  );
  const [host] = shared.sort((a, b) => a.length - b.length);
  if (stranger || host === undefined || host === unknownHost || host.length >= target.host.length)
    return crossing;
  return { ...crossing, url: targetUrl({ ...target, host }) };
}

interface Task {
  readonly target: Target;
  readonly senders: Set<Sender>;
  /** Workloads that are called past every proxy but their own, and the port that they listen on. */
  readonly strangers: Map<string, number>;
}

/** Every host and port that a change may concern, with one of each kind of sender. */
export function findCrossings(before: Model, after: Model, touched: Touched): Crossing[] {
  const tasks = tasksOf(before, after, touched);
  const old = attemptsOf(before, tasks);
  const now = attemptsOf(after, tasks);
  const groups = new Map<string, Crossing & { readonly senders: string[] }>();
  for (const [id, first] of old) {
    const second = now.get(id);
    if (!second) continue;
    const { scheme, port } = first.task.target;
    const key = `${scheme} ${port} ${groupKey(before, first.sender, [first.side, second.side])}`;
    const group = groups.get(key);
    if (group) group.senders.push(...first.senders);
    else
      groups.set(key, {
        target: first.task.target,
        url: first.target,
        from: first.sender.key,
        outside: first.sender.proxy?.type === 'router' && !first.stranger,
        stranger: first.stranger,
        senders: [...first.senders],
        sides: [first.side, second.side],
      });
  }
  return [...groups.values()].flatMap((crossing) => {
    const others = otherNames(before, after, crossing);
    return others === undefined ? [withShortName(crossing)] : [crossing, ...others];
  });
}

function tasksOf(before: Model, after: Model, touched: Touched): Task[] {
  const byKey = new Map(touched.proxies.map((one) => [one.workload.key, one]));
  const senders = sendersOf(after, ({ key }) => byKey.get(key)?.changes).filter(({ at }) =>
    before.workloads.has(at.key),
  );
  const tasks = new Map<string, Task>();
  const taskOf = (target: Target): Task => {
    const url = targetUrl(target);
    let task = tasks.get(url);
    if (!task) {
      task = { target, senders: new Set(), strangers: new Map() };
      tasks.set(url, task);
    }
    return task;
  };
  for (const [when, model] of [
    ['before', before],
    ['after', after],
  ] as const) {
    const known = new Map<readonly ResourceChange[], readonly Target[]>();
    for (const sender of senders) {
      const own = byKey.get(sender.at.key);
      if (!own) continue;
      for (const target of clientTargets(own, when, model, known)) taskOf(target).senders.add(sender);
      if (!concernedTargets(own, when, model).serves) continue;
      for (const { endpointPort, ...target } of servedTargets(sender.at.key, model)) {
        const task = taskOf(target);
        for (const one of senders) task.senders.add(one);
        task.strangers.set(sender.at.key, endpointPort);
      }
    }
  }
  const known = { before: knownServices(before), after: knownServices(after) };
  for (const target of changedServices(known.before, known.after))
    for (const sender of senders) taskOf(target).senders.add(sender);
  return [...tasks.values()];
}

/** Proxies that the kernel redirects to write the same ports: what changes for one concerns the same hosts for all. */
function clientTargets(
  own: TouchedProxy,
  when: 'before' | 'after',
  model: Model,
  known: Map<readonly ResourceChange[], readonly Target[]>,
): readonly Target[] {
  const { proxy } = own.workload;
  const shared = proxy?.type === 'sidecar' && !proxy.explicit;
  const found = shared ? known.get(own.changes) : undefined;
  if (found) return found;
  const { targets } = concernedTargets(own, when, model);
  if (shared) known.set(own.changes, targets);
  return targets;
}

interface Attempt {
  readonly task: Task;
  readonly target: string;
  readonly sender: ModelWorkload;
  readonly senders: readonly string[];
  readonly stranger: boolean;
  readonly side: CrossingSide;
}

const first: Variant = { path: '/', method: 'GET', headers: {} };

/** All departures of one model together: they ask for its world. */
function attemptsOf(model: Model, tasks: readonly Task[]): Map<string, Attempt> {
  const attempts = new Map<string, Attempt>();
  for (const task of tasks) {
    const target = targetUrl(task.target);
    const add = (
      id: string,
      departure: Departure | undefined,
      sender: ModelWorkload,
      senders: readonly string[],
      stranger: boolean,
    ) => {
      if (!departure) return;
      const side = { departure, surroundings: surroundingsOf(model, send(departure, first)) };
      attempts.set(`${target} ${id}`, { task, target, sender, senders, stranger, side });
    };
    for (const { at, members } of task.senders) {
      const here = model.workloads.get(at.key);
      if (here) add(at.key, depart(model, here, target), here, members, false);
    }
    for (const [key, port] of task.strangers) {
      const server = model.workloads.get(key);
      if (server) add(`${key} stranger`, departAsStranger(model, server, target, port), server, [key], true);
    }
  }
  return attempts;
}

/** Senders with equal keys meet the same conditions, and answer those about themselves alike. */
function groupKey(model: Model, sender: ModelWorkload, sides: readonly CrossingSide[]): string {
  const asked = new Conditions();
  for (const { surroundings } of sides) asked.addAll(surroundings.beyond);
  const identity = sender.proxy ? identityOf(model.mesh.trustDomain, sender) : '';
  const ip = parseIp(sender.workload.addresses[0] ?? '');
  const ranges = [...asked.sources.keys()].map((text) => {
    const range = parseCidr(text);
    return range && ip && cidrContains(range, ip) ? '1' : '0';
  });
  return [
    ...sides.map(
      ({ surroundings, departure }) =>
        `${surroundings.footprint} ${'target' in departure.start ? departure.start.target.address : 'stranger'}`,
    ),
    answersTo(asked.identities.values(), identity),
    ranges.join(''),
    sender.proxy?.type ?? 'none',
  ].join('|');
}
