import { parseOriginId } from '../config/origin.ts';
import type { DecidedBy } from '../explain/explanation.ts';
import { decidedBy } from '../explain/words.ts';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import type { Model } from '../model/model.ts';
import { answersTo } from '../request-space/dimensions.ts';
import { depart, send } from '../request-space/journey.ts';
import { outcomeOf, type RequestOutcome } from '../request-space/outcome.ts';
import type { Variant } from '../request-space/space.ts';
import { type Arrival, arrivalsAt, conditionsAt, outcomeOfArrival } from './arrivals.ts';
import { type Caller, callersOf, unknownCaller } from './callers.ts';
import type { Claim } from './claim.ts';
import { gatewayUrls } from './gateway-urls.ts';
import { type Server, serversOf } from './servers.ts';

/** A request that does what was claimed to be impossible. */
export interface CounterExample {
  /** `namespace/name`; absent: anyone without a sidecar. */
  readonly from?: string;
  /** A client outside, by that gateway. */
  readonly outside: boolean;
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly outcome: RequestOutcome;
  readonly decidedBy: readonly DecidedBy[];
}

export interface Proof {
  readonly claim: Claim;
  /** `unknown`: not everything could be looked at, or what a server would let in was found no way to. */
  readonly status: 'proved' | 'refuted' | 'unknown';
  readonly counterExample?: CounterExample;
  /** The objects that refuse. */
  readonly because: readonly DecidedBy[];
  /** Kinds of requests that were followed. */
  readonly examined: number;
  /** Callers, ports and workloads that were looked at. */
  readonly callers: number;
  readonly servers: number;
  /** Why it is not known. */
  readonly unknown: readonly string[];
  readonly assumptions: readonly string[];
}

export interface ProveOptions {
  /** Requests that are followed, at most. Default 200,000. */
  readonly requests?: number;
  readonly timeMs?: number;
  /** Milliseconds from anywhere. Default: time has no limit. */
  readonly now?: () => number;
}

export type ProveResult =
  | { readonly ok: true; readonly proof: Proof }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

/**
 * Whether nothing of some callers reaches a service. The servers' own proxies are asked, with every kind of request that they can tell
 * apart, from every identity that the mesh gives out and from none: what they refuse cannot be reached, whatever routes lead there.
 */
export function prove(model: Model, claim: Claim, options: ProveOptions = {}): ProveResult {
  const servers = serversOf(model, claim);
  if (!servers)
    return {
      ok: false,
      error: {
        code: 'ServiceUnknown',
        message: `there is no service ${claim.service} in namespace ${claim.namespace}`,
      },
    };
  const unknown = unknownCaller(model, claim.from);
  if (unknown !== undefined) return { ok: false, error: { code: 'CallerUnknown', message: unknown } };
  return { ok: true, proof: new Search(model, claim, servers, options).run() };
}

class Search {
  readonly #model: Model;
  readonly #claim: Claim;
  readonly #servers: readonly Server[];
  readonly #limits: Required<Omit<ProveOptions, 'now'>>;
  readonly #now: () => number;
  readonly #unknown = new Set<string>();
  readonly #because = new Map<string, DecidedBy>();
  #examined = 0;

  constructor(
    model: Model,
    claim: Claim,
    servers: readonly Server[],
    { now = () => 0, ...limits }: ProveOptions,
  ) {
    this.#model = model;
    this.#claim = claim;
    this.#servers = servers;
    this.#limits = { requests: 200_000, timeMs: 30_000, ...limits };
    this.#now = now;
  }

  run(): Proof {
    const callers = callersOf(this.#model, this.#claim.from);
    let counterExample: CounterExample | undefined;
    if (this.#servers.length === 0)
      this.#unknown.add('the service has no workload: nothing can be said of those to come');
    for (const server of this.#servers) {
      counterExample = this.#examine(server, callers);
      if (counterExample) break;
    }
    return {
      claim: this.#claim,
      status: counterExample ? 'refuted' : this.#unknown.size > 0 ? 'unknown' : 'proved',
      ...(counterExample ? { counterExample } : {}),
      because: [...this.#because.values()],
      examined: this.#examined,
      callers: callers.length,
      servers: this.#servers.length,
      unknown: [...this.#unknown],
      assumptions: this.#model.assumptions,
    };
  }

  #examine(server: Server, callers: readonly Caller[]): CounterExample | undefined {
    if (!server.at.proxy) return this.#unguarded(server, callers);
    const until = this.#now() + this.#limits.timeMs;
    const conditions = conditionsAt(this.#model, server);
    const kinds = Map.groupBy(callers, (caller) => {
      const ip = parseIp(caller.address);
      const inside = [...conditions.sources.keys()].map((text) => {
        const range = parseCidr(text);
        return range && ip && cidrContains(range, ip) ? 1 : 0;
      });
      return `${caller.kind} ${answersTo(conditions.identities.values(), caller.identity ?? '')} ${inside.join('')}`;
    });
    for (const members of kinds.values()) {
      const [caller] = members;
      if (!caller) continue;
      const { arrivals, cuts } = arrivalsAt(conditions, server, caller, this.#claim);
      let open: Arrival | undefined;
      for (const arrival of arrivals) {
        if (this.#examined >= this.#limits.requests || this.#now() > until) {
          this.#unknown.add(`the search ended after ${this.#examined} requests`);
          return undefined;
        }
        this.#examined++;
        const outcome = outcomeOfArrival(this.#model, server, arrival);
        if (!outcome) break;
        this.#note(outcome);
        if (!isDelivered(outcome)) continue;
        const found = this.#request(server, members, arrival, outcome);
        if (found) return found;
        open = arrival;
      }
      for (const what of cuts) this.#unknown.add(what);
      if (open) this.#noteOpen(server, caller, open);
    }
    return undefined;
  }

  /** Nothing judges what reaches a workload without a proxy. */
  #unguarded(server: Server, callers: readonly Caller[]): CounterExample | undefined {
    const name = server.at.workload.controller ?? server.at.workload.name;
    const [method = 'GET'] = this.#claim.methods ?? [];
    const variant: Variant = { method, path: this.#claim.path?.text ?? '/', headers: {} };
    for (const { at, kind } of callers) {
      const found =
        at && this.#along(at, kind === 'outside', variant, `http://${server.hostname}:${server.servicePort}`);
      if (found) return found;
    }
    this.#unknown.add(`${name} has no sidecar: whoever reaches its address gets through`);
    return undefined;
  }

  #note({ ends, deciders }: RequestOutcome): void {
    const refused = ends.flatMap(({ by, outcome }) => (outcome === 'delivered' ? [] : (by ?? [])));
    for (const id of refused.length > 0 ? refused : deciders.slice(-1)) {
      const origin = parseOriginId(id);
      if (origin && !this.#because.has(id)) this.#because.set(id, decidedBy(this.#model, origin));
    }
  }

  #noteOpen(server: Server, caller: Caller, { variant }: Arrival): void {
    const name = server.at.workload.controller ?? server.at.workload.name;
    this.#unknown.add(
      `the sidecar of ${name} lets ${variant.method} ${variant.path} in from ${caller.identity ?? 'anyone in plaintext'}, but no request was found that gets there`,
    );
  }

  /** The request that somebody of a kind sends to get there. */
  #request(
    server: Server,
    members: readonly Caller[],
    arrival: Arrival,
    outcome: RequestOutcome,
  ): CounterExample | undefined {
    const [caller] = members;
    const port = server.servicePort === 80 ? '' : `:${server.servicePort}`;
    if (caller?.kind === 'plaintext') {
      const address = server.at.workload.addresses[0] ?? '';
      return this.#counter(undefined, false, `http://${address}:${server.port}`, arrival.variant, outcome);
    }
    for (const { at, kind } of members.slice(0, 5)) {
      if (!at) continue;
      const own = `http://${server.hostname}${port}`;
      for (const url of kind === 'outside' ? [own, ...gatewayUrls(this.#model, at)] : [own]) {
        const found = this.#along(at, kind === 'outside', arrival.variant, url);
        if (found) return found;
      }
    }
    return undefined;
  }

  #along(
    at: NonNullable<Caller['at']>,
    outside: boolean,
    variant: Variant,
    url: string,
  ): CounterExample | undefined {
    if (!outside && at.proxy?.type === 'router') return undefined;
    const departure = depart(this.#model, at, url);
    if (!departure) return undefined;
    const journey = send(departure, variant);
    const reached = journey.leaves.some(
      ({ workload, end }) =>
        end.outcome === 'delivered' &&
        this.#servers.some(({ at: one }) => one.key === workload || sameTemplate(one, this.#model, workload)),
    );
    return reached
      ? this.#counter(at.key, outside, url, variant, outcomeOf(this.#model, journey))
      : undefined;
  }

  #counter(
    from: string | undefined,
    outside: boolean,
    url: string,
    { path, method, headers, claims }: Variant,
    outcome: RequestOutcome,
  ): CounterExample {
    return {
      ...(from === undefined ? {} : { from }),
      outside,
      url: `${url}${path}`,
      method,
      headers,
      ...(claims ? { claims } : {}),
      outcome,
      decidedBy: outcome.deciders.flatMap((id) => {
        const origin = parseOriginId(id);
        return origin ? [decidedBy(this.#model, origin)] : [];
      }),
    };
  }
}

function isDelivered({ ends }: RequestOutcome): boolean {
  return ends.some(({ outcome }) => outcome === 'delivered');
}

function sameTemplate({ workload }: Server['at'], model: Model, key: string | undefined): boolean {
  const other = key === undefined ? undefined : model.workloads.get(key)?.workload;
  return (
    other !== undefined &&
    other.namespace === workload.namespace &&
    other.controller !== undefined &&
    other.controller === workload.controller
  );
}
