import { identityOf } from '../explain/hop.ts';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { Conditions } from '../request-space/conditions.ts';
import { answersTo } from '../request-space/dimensions.ts';
import { type Departure, depart, departAsStranger, send } from '../request-space/journey.ts';
import type { Variant } from '../request-space/space.ts';
import { type Surroundings, surroundingsOf } from '../request-space/surroundings.ts';
import { otherNames } from './other-names.ts';
import { hostNames, type Target, targetUrl, unknownHost } from './target.ts';
import { type Task, tasksOf } from './tasks.ts';
import type { Touched } from './touched.ts';

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
  /** `namespace/name` of the sender that is followed. */
  readonly from: string;
  readonly outside: boolean;
  /** The port of `from` that is called past every proxy but its own. */
  readonly strangerPort?: number;
  readonly senders: readonly string[];
  readonly sides: readonly [before: CrossingSide, after: CrossingSide];
}

/** The name that people write, where nothing tells names apart. */
function withShortName(crossing: Crossing): Crossing {
  const { target, sides, senders, strangerPort, outside } = crossing;
  if (strangerPort !== undefined) return crossing;
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
    const key = `${scheme} ${port} ${groupKey(before, first, second)}`;
    const group = groups.get(key);
    if (group) group.senders.push(...first.senders);
    else
      groups.set(key, {
        target: first.task.target,
        url: first.target,
        from: first.sender.key,
        outside: first.sender.proxy?.type === 'router' && first.strangerPort === undefined,
        ...(first.strangerPort === undefined ? {} : { strangerPort: first.strangerPort }),
        senders: [...first.senders],
        sides: [first.side, second.side],
      });
  }
  return [...groups.values()].flatMap((crossing) => {
    const others = otherNames(before, after, crossing);
    return others === undefined ? [withShortName(crossing)] : [crossing, ...others];
  });
}

interface Attempt {
  readonly task: Task;
  readonly target: string;
  readonly sender: ModelWorkload;
  readonly senders: readonly string[];
  readonly strangerPort?: number;
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
      strangerPort?: number,
    ) => {
      if (!departure) return;
      const side = { departure, surroundings: surroundingsOf(model, send(departure, first)) };
      attempts.set(`${target} ${id}`, {
        task,
        target,
        sender,
        senders,
        side,
        ...(strangerPort === undefined ? {} : { strangerPort }),
      });
    };
    for (const { at, members } of task.senders) {
      const here = model.workloads.get(at.key);
      if (here) add(at.key, depart(model, here, target), here, members);
    }
    for (const [key, port] of task.strangers) {
      const server = model.workloads.get(key);
      if (server) add(`${key} stranger`, departAsStranger(model, server, target, port), server, [key], port);
    }
  }
  return attempts;
}

/** Senders with equal keys meet the same conditions, and answer those about themselves alike. */
function groupKey(model: Model, ...attempts: readonly Attempt[]): string {
  const asked = new Conditions();
  for (const { side } of attempts) asked.addAll(side.surroundings.beyond);
  return attempts
    .flatMap(({ side: { surroundings, departure }, sender }) => [
      surroundings.footprint,
      'target' in departure.start ? departure.start.target.address : 'stranger',
      ...senderAnswers(model, sender, asked),
    ])
    .join('|');
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
