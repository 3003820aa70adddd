import { findCaller } from '../../../explain/caller.ts';
import { identityFor, startOf } from '../../../explain/first-hop.ts';
import type { Question } from '../../../explain/question.ts';
import { parseTarget, type TargetUrl } from '../../../explain/target.ts';
import type { Model, ModelWorkload } from '../../../model/model.ts';
import type { Journey } from '../../../request-space/journey.ts';
import type { Message } from './send-request.ts';

/** A way in which a request leaves its caller. */
export interface Departure {
  readonly target: TargetUrl;
  readonly message: Message;
  readonly serverName: string;
  readonly port: number;
  readonly by: 'port' | 'proxy';
  /** The caller's own, `namespace/name`; absent: the connection passes none. */
  readonly sidecar?: string;
  /** What the caller proves: of the sidecar's certificate, or of a client's at a gateway. */
  readonly identity?: string;
  /** Whose proxies it passes. */
  readonly workloads: readonly ModelWorkload[];
}

/** Through the caller's sidecar or a gateway there is one; without, one to each endpoint. `journey`: as predicted; `places`: see `Allocation`. */
export function departures(
  model: Model,
  question: Question,
  journey: Journey,
  places: ReadonlyMap<string, number>,
): Departure[] {
  const target = parseTarget(question.url);
  const caller = findCaller(model, question.from);
  if (!target.ok || !caller.ok) return [];
  const { at, outside } = caller.value;
  const identity = question.as === undefined && outside ? undefined : identityFor(model, at, question.as);
  const start = startOf(model, caller.value, target.value, {
    ...question,
    ...(question.as !== undefined && identity !== undefined ? { as: identity } : {}),
  });
  const { hop } = start;
  const shared = {
    target: target.value,
    message: messageOf(question, target.value),
    serverName: start.call.sni ?? '',
    workloads: journey.passed.map(({ hop: passed }) => passed.at),
  };
  if (!hop) {
    const sockets = new Set(journey.leaves.flatMap(({ address }) => address ?? []));
    return [...sockets].flatMap((socket) => {
      const port = places.get(socket);
      return port === undefined ? [] : [{ ...shared, port, by: 'port' as const }];
    });
  }
  const by = hop.call.port === hop.proxy.explicit?.httpProxy ? 'proxy' : 'port';
  return [
    {
      ...shared,
      port: hop.call.port,
      by,
      ...(outside ? {} : { sidecar: at.key }),
      ...(identity === undefined ? {} : { identity }),
    },
  ];
}

function messageOf({ method = 'GET', headers = {} }: Question, { authority, path }: TargetUrl): Message {
  const { host = authority, ...rest } = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { method, host, path, headers: rest };
}
