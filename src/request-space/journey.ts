import { findCaller } from '../explain/caller.ts';
import { identityFor, type Start, startOf } from '../explain/first-hop.ts';
import { type Following, follow } from '../explain/follow.ts';
import type { Hop } from '../explain/hop.ts';
import type { Leaf } from '../explain/leaf.ts';
import type { Question } from '../explain/question.ts';
import { parseTarget } from '../explain/target.ts';
import type { Unanswerable } from '../explain/unanswerable.ts';
import { type Unproxied, withoutProxy } from '../explain/without-proxy.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import type { Call, SimulationOptions, SimulationResult } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { Variant } from './space.ts';

/** A request that is ready to be sent in many variants: who sends it, and to what host and port. */
export interface Departure {
  readonly model: Model;
  /** The port that the sender writes; of strangers, the workload's own; of clients outside, the gateway's. */
  readonly port: number;
  /** Where it starts. */
  readonly start: Start | StrangerStart | UnprotectedStart;
}

/** Somebody without a proxy and without an identity, who calls a workload's own address. */
interface StrangerStart {
  readonly hop: Hop;
}

/** The same to a workload without a proxy. */
interface UnprotectedStart extends Unproxied {
  readonly hop?: undefined;
}

/** A proxy on the way, and what became of the call there. */
export interface Passed {
  readonly hop: Hop;
  readonly resources: DecodedResources;
  readonly result: SimulationResult;
}

/** A request's way through the mesh. */
export interface Journey {
  /** The port that the sender writes, where it is known: sidecars may stand at another. */
  readonly port?: number;
  readonly passed: readonly Passed[];
  readonly leaves: readonly Leaf[];
  readonly assumed: ReadonlySet<string>;
}

/** Reserved for documentation (RFC 5737). */
export const strangerAddress = '203.0.113.7';

/** Asks for the model's world. Undefined: the URL does not read. */
export function depart(model: Model, at: ModelWorkload, url: string): Departure | undefined {
  const parsed = parseTarget(url);
  if (!parsed.ok) return undefined;
  const outside = at.proxy?.type === 'router';
  const start = startOf(model, { outside, at }, parsed.value, { from: at.key, url });
  // However a client outside came to it: by the gateway's Service or past it.
  return { model, port: outside ? start.port : parsed.value.port, start };
}

/**
 * A call in plaintext to a port of a workload, or of whoever has an address, past every proxy but the one there, if there is one.
 * Undefined: the URL does not read.
 */
export function departAsStranger(
  model: Model,
  server: ModelWorkload | string,
  url: string,
  port: number,
): Departure | undefined {
  const parsed = parseTarget(url);
  if (!parsed.ok) return undefined;
  const { scheme, authority, path } = parsed.value;
  const owner = typeof server === 'string' ? undefined : server;
  const own = typeof server === 'string' ? server : (server.workload.addresses[0] ?? '');
  const explicit = owner?.proxy?.explicit;
  const call: Call = {
    address: explicit ? '127.0.0.1' : own,
    port,
    mode: explicit ? 'direct' : 'inbound',
    protocol: scheme === 'http' || scheme === 'https' ? 'http' : 'tcp',
    tls: 'plaintext',
    sourceAddress: strangerAddress,
    host: authority,
    path,
  };
  if (owner?.proxy?.explicit)
    return { model, port, start: { hop: { at: owner, proxy: owner.proxy, role: 'server', call } } };
  const { address } = call;
  return { model, port, start: { target: { address, looked: 'address' }, address, port, call } };
}

export type Asked =
  | { readonly ok: true; readonly journey: Journey }
  | { readonly ok: false; readonly error: Unanswerable };

/** Sends the request of a question. */
export function ask(model: Model, question: Question, options: SimulationOptions = {}): Asked {
  const url = parseTarget(question.url);
  if (!url.ok) return url;
  const caller = findCaller(model, question.from);
  if (!caller.ok) return caller;
  const identity = identityFor(model, caller.value.at, question.as);
  if (identity === undefined)
    return { ok: false, error: { code: 'IdentityInvalid', message: `${question.as} is no identity` } };
  const asked = question.as === undefined ? question : { ...question, as: identity };
  const start = startOf(model, caller.value, url.value, asked);
  const passed: Passed[] = [];
  const assumed = new Set<string>();
  const seen: Following['seen'] = (hop, resources, result) => passed.push({ hop, resources, result });
  const following: Following = { model, options, identity, decisions: [], assumed, seen };
  const leaves = start.hop
    ? follow(following, start.hop, 0, false)
    : withoutProxy(following, start, url.value.port);
  return { ok: true, journey: { passed, leaves, assumed } };
}

/** A call as it arrives at a workload's own proxy. */
export function arriveAt(
  model: Model,
  at: ModelWorkload & { readonly proxy: MeshProxy },
  call: Call,
): Journey {
  const passed: Passed[] = [];
  const assumed = new Set<string>();
  const seen: Following['seen'] = (hop, resources, result) => passed.push({ hop, resources, result });
  const leaves = follow(
    { model, options: {}, decisions: [], assumed, seen },
    { at, proxy: at.proxy, role: 'server', call },
    0,
    false,
  );
  return { passed, leaves, assumed };
}

/** Sends one variant. */
export function send({ model, start, port }: Departure, variant: Variant): Journey {
  const passed: Passed[] = [];
  const assumed = new Set<string>();
  const identity = start.hop ? identityFor(model, start.hop.at, undefined) : undefined;
  const following: Following = {
    model,
    options: {},
    ...(identity === undefined ? {} : { identity }),
    decisions: [],
    assumed,
    seen: (hop, resources, result) => passed.push({ hop, resources, result }),
  };
  if (start.hop) {
    const hop = { ...start.hop, call: withVariant(start.hop.call, variant) };
    return { port, passed, leaves: follow(following, hop, 0, false), assumed };
  }
  const begun = { ...start, call: withVariant(start.call, variant) };
  const leaves = withoutProxy(following, begun, port);
  return { port, passed, leaves, assumed };
}

function withVariant(call: Call, { path, method, headers, host, claims, address }: Variant): Call {
  return {
    ...call,
    ...(address === undefined ? {} : { sourceAddress: address }),
    ...(call.protocol === 'tcp' ? {} : { path, method, headers: { ...call.headers, ...headers } }),
    ...(host === undefined || call.protocol === 'tcp' ? {} : { host }),
    ...(claims ? { claims } : {}),
  };
}
