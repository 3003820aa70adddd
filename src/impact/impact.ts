import { parseOriginId } from '../config/origin.ts';
import type { DecidedBy } from '../explain/explanation.ts';
import { decidedBy } from '../explain/words.ts';
import type { Model } from '../model/model.ts';
import { Conditions } from '../request-space/conditions.ts';
import { type Departure, send, strangerAddress } from '../request-space/journey.ts';
import { outcomeOf, type RequestOutcome } from '../request-space/outcome.ts';
import { defaultSpaceLimits, requestSpace, type Variant } from '../request-space/space.ts';
import { type Difference, differences } from './compare.ts';
import { type Crossing, crossingsOf } from './crossings.ts';
import { targetUrl } from './target.ts';
import { type Task, tasksOf } from './tasks.ts';
import { type Touched, touchedProxies } from './touched.ts';
import { unforeseen } from './unforeseen.ts';

/** One request that comes out differently, and what it stands for. */
export interface Witness {
  /** `namespace/name` of the workload that sends it, or of the gateway, or the workload, that a client outside, or anyone, calls. */
  readonly from: string;
  /** It comes from outside, by that gateway. */
  readonly outside: boolean;
  /** It goes to this port of the workload's own address, in plaintext and without an identity. */
  readonly strangerPort?: number;
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The Host that is sent where it is not the URL's. */
  readonly host?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Of the client outside, where it matters. */
  readonly address?: string;
}

/** Requests that are decided alike, before and after, and whose outcome changes. */
export interface ChangedClass {
  /** Equal for two requests of one class from senders of one sort: see `classKey`. */
  readonly key: string;
  /** Beside the witness, all requests of the senders whose Host is not their URL's: they gain or lose the proxy that goes by the Host. */
  readonly anyOtherHost?: true;
  /** The simplest one that was found. */
  readonly witness: Witness;
  /** All workloads that send such requests, `namespace/name`; none: anyone without a proxy. */
  readonly senders: readonly string[];
  /** The workloads, `namespace/name`, whose own addresses are called; none: the witness's host stands for itself. */
  readonly places: readonly string[];
  readonly before: RequestOutcome;
  readonly after: RequestOutcome;
  readonly differences: readonly Difference[];
  readonly decidedBefore: readonly DecidedBy[];
  readonly decidedAfter: readonly DecidedBy[];
  /** Kinds of requests in it that were looked at. */
  readonly requests: number;
}

/** What a change does. */
export interface Impact {
  readonly touched: Touched;
  readonly changed: readonly ChangedClass[];
  /** Requests that were followed before and after. */
  readonly examined: number;
  /** Where it was not looked, in words; empty: every kind of request was. */
  readonly cuts: readonly string[];
}

export interface ImpactLimits {
  /** Classes that are told, at most. Default 5,000. */
  readonly classes?: number;
  /** Requests that are followed, at most. Default 200,000. */
  readonly requests?: number;
  /** Milliseconds for all of it, compiling too; default 30,000; checked by `now`. */
  readonly timeMs?: number;
}

export interface ImpactOptions extends ImpactLimits {
  /** Milliseconds from anywhere. Default: time has no limit. */
  readonly now?: () => number;
}

/** Compares what becomes of requests in two models of one family. */
export function impactOf(before: Model, after: Model, options: ImpactOptions = {}): Impact {
  const search = new Search(before, after, options);
  const touched = touchedProxies(before, after, (left) => search.hasTime(1, left));
  for (const what of unforeseen(before, after, touched)) search.cuts.add(what);
  // What was listed by then is looked at in the rest of the time.
  search.run(tasksOf(before, after, touched, (left) => search.hasTime(shareOfListing, left)));
  return { touched, changed: search.classes(), examined: search.examined, cuts: [...search.cuts] };
}

/**
 * What requests of one class have in common: the port, the virtual hosts, and the objects that decide before and after, and what
 * changes. Paths, headers and hosts as they are written may differ, and whether the answer is one of HTTP or in a gRPC status.
 */
export function classKey(old: RequestOutcome, now: RequestOutcome): string {
  const [before, after] = [toPlainClients(old), toPlainClients(now)];
  return JSON.stringify([
    before.port,
    after.port,
    before.virtualHost,
    before.deciders,
    endsOf(before),
    after.virtualHost,
    after.deciders,
    endsOf(after),
    differences(before, after).map(({ what }) => what),
  ]);
}

/**
 * In one order, whatever the answers were in before they were taken for those of HTTP. A server that waits for TLS hangs up on methods that
 * its TLS library knows (503) and sends an alert to others (502): to a user it is one refusal.
 */
function endsOf({ ends }: RequestOutcome): string[] {
  const told = ({ outcome, status }: RequestOutcome['ends'][number]) =>
    outcome === 'denied' && status === 502 ? 503 : (status ?? '');
  return ends.map((end) => `${end.outcome} ${told(end)}`).sort();
}

/** As a client gets it that speaks no gRPC. */
function toPlainClients(outcome: RequestOutcome): RequestOutcome {
  if (outcome.ends.every(({ grpcStatus }) => grpcStatus === undefined)) return outcome;
  const ends = outcome.ends.map(({ grpcStatus: _, httpStatus, ...end }) =>
    httpStatus === undefined ? end : { ...end, status: httpStatus },
  );
  return { ...outcome, ends };
}

interface Found {
  readonly first: Omit<ChangedClass, 'senders' | 'places' | 'requests'>;
  readonly senders: Set<string>;
  readonly places: Set<string>;
  requests: number;
}

class Search {
  readonly cuts = new Set<string>();
  examined = 0;
  readonly #found = new Map<string, Found>();
  readonly #before: Model;
  readonly #after: Model;
  readonly #limits: Required<ImpactLimits>;
  readonly #now: () => number;
  readonly #begun: number;
  #timeIsUp = false;

  constructor(before: Model, after: Model, { now = () => 0, ...limits }: ImpactOptions) {
    this.#before = before;
    this.#after = after;
    this.#limits = { classes: 5000, requests: 200_000, timeMs: 30_000, ...limits };
    this.#now = now;
    this.#begun = now();
  }

  classes(): ChangedClass[] {
    return [...this.#found.values()].map(({ first, senders, places, requests }) => ({
      ...first,
      senders: [...senders].sort(),
      places: [...places].sort(),
      requests,
    }));
  }

  /** Some tasks at a time: what there is no time for is not prepared. */
  run(tasks: readonly Task[]): void {
    for (let at = 0; at < tasks.length; at += tasksAtOnce) {
      const left = `${tasks.length - at} of ${tasks.length} hosts and ports were not looked at`;
      if (!this.#mayGoOn(left)) return;
      for (const crossing of crossingsOf(this.#before, this.#after, tasks.slice(at, at + tasksAtOnce)))
        if (!this.#examine(crossing)) return;
    }
  }

  /** False: there is no room for more. */
  #examine(crossing: Crossing): boolean {
    const beyond = new Conditions();
    for (const side of crossing.sides) beyond.addAll(side.surroundings.beyond);
    const { cuts, variants } = requestSpace(
      {
        hosts: crossing.sides.flatMap(({ surroundings }) => surroundings.host ?? []),
        beyond,
        ...(crossing.strangerPort !== undefined
          ? { outside: strangerAddress }
          : crossing.outside
            ? { outside: '198.51.100.1' }
            : {}),
      },
      defaultSpaceLimits,
    );
    const connection = crossing.target.scheme === 'tcp' || crossing.target.scheme === 'tls';
    const { host, anyOtherHost } = crossing;
    const all = [...(connection || anyOtherHost ? [plain] : variants)].map((one) =>
      host === undefined || connection ? one : { ...one, host },
    );
    for (const what of cuts) this.cuts.add(`${targetUrl(crossing.target)}: ${what}`);
    const [old, now] = crossing.sides;
    // One model after the other: a sender without a proxy asks for its model's world.
    const before = this.#outcomes(this.#before, old.departure, all, crossing);
    const after = this.#outcomes(this.#after, now.departure, all.slice(0, before.length), crossing);
    after.forEach((outcome, index) => {
      this.#compare(crossing, all[index] as Variant, before[index] as RequestOutcome, outcome);
    });
    return after.length === all.length && this.#mayGoOn(atTarget(crossing));
  }

  #outcomes(
    model: Model,
    departure: Departure,
    variants: readonly Variant[],
    crossing: Crossing,
  ): RequestOutcome[] {
    const outcomes: RequestOutcome[] = [];
    for (const variant of variants) {
      if ((outcomes.length & 63) === 63 && !this.#mayGoOn(atTarget(crossing))) break;
      outcomes.push(outcomeOf(model, send(departure, variant)));
      this.examined += 0.5;
    }
    return outcomes;
  }

  /** False, and said once in words of `left`: that share of the time is over. */
  hasTime(share: number, left: string): boolean {
    const { timeMs } = this.#limits;
    if (this.#now() - this.#begun <= timeMs * share) return true;
    const what = share === 1 ? 'the search ended: it' : 'compiling and listing';
    if (!this.#timeIsUp) this.cuts.add(`${what} took more than ${(timeMs * share) / 1000} s; ${left}`);
    this.#timeIsUp ||= share === 1;
    return false;
  }

  #mayGoOn(where: string): boolean {
    const stop = (why: string): boolean => {
      this.cuts.add(`the search ended: ${why}; ${where}`);
      return false;
    };
    if (!this.hasTime(1, where)) return false;
    if (this.examined > this.#limits.requests)
      return stop(`${this.#limits.requests} requests were looked at`);
    if (this.#found.size > this.#limits.classes)
      return stop(`${this.#limits.classes} classes of requests change`);
    return true;
  }

  #compare(crossing: Crossing, variant: Variant, before: RequestOutcome, after: RequestOutcome): void {
    const changes = differences(before, after);
    if (changes.length === 0) return;
    const key = classKey(before, after);
    // Those past every proxy, those from outside and those to addresses are told apart from others.
    const { strangerPort, outside, senders, places, anyOtherHost } = crossing;
    const id = anyOtherHost
      ? `any other Host, ${before.virtualHost === undefined}`
      : [key, strangerPort !== undefined, outside, places.length > 0].join(' ');
    const known = this.#found.get(id);
    if (known) {
      known.requests++;
      for (const sender of senders) known.senders.add(sender);
      for (const place of places) known.places.add(place);
      return;
    }
    this.#found.set(id, {
      first: {
        key,
        ...(anyOtherHost ? { anyOtherHost } : {}),
        witness: witnessOf(crossing, variant),
        before,
        after,
        differences: changes,
        decidedBefore: decided(this.#before, before),
        decidedAfter: decided(this.#after, after),
      },
      senders: new Set(senders),
      places: new Set(places),
      requests: 1,
    });
  }
}

/** Of the time: for finding out which hosts and ports a change may concern, and all before that. */
const shareOfListing = 0.75;

/** Hosts and ports that are prepared together. */
const tasksAtOnce = 200;

function atTarget({ target }: Crossing): string {
  return `the last was ${targetUrl(target)}`;
}

const plain: Variant = { path: '/', method: 'GET', headers: {} };

function witnessOf(crossing: Crossing, variant: Variant): Witness {
  const { target, url, from, outside, strangerPort } = crossing;
  const { path, method, headers, host, claims, address } = variant;
  const connection = target.scheme === 'tcp' || target.scheme === 'tls';
  return {
    from,
    outside,
    ...(strangerPort === undefined ? {} : { strangerPort }),
    url: `${url}${connection ? '' : path}`,
    method,
    headers,
    ...(host === undefined ? {} : { host }),
    ...(claims ? { claims } : {}),
    ...(address === undefined ? {} : { address }),
  };
}

function decided(model: Model, { deciders }: RequestOutcome): DecidedBy[] {
  return deciders.flatMap((id) => {
    const origin = parseOriginId(id);
    return origin ? [decidedBy(model, origin)] : [];
  });
}
