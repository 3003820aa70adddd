import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigObject } from '../../../config/object.ts';
import type { ParsedObject } from '../../../config/yaml-documents.ts';
import { CodedError } from '../../../kit/coded-error.ts';
import { pooled } from '../../../kit/pooled.ts';
import type { StatePaths } from '../../state/state-directory.ts';
import { callControl } from '../../supervisor/control-socket.ts';
import type { MeshStatus } from '../../supervisor/mesh-status.ts';

/** Requests as the proxies of their callers counted them. */
interface Counts {
  requests: number;
  /** Answered with 5xx. */
  errors: number;
}

export interface ErrorRate extends Counts {
  /** 0 to 1; 0 where there were no requests. */
  readonly rate: number;
}

export interface ErrorCondition {
  /** By how much the rate may be above that before, 0 to 1. */
  readonly maxRate: number;
  readonly observeMs: number;
}

/** With fewer requests than these nothing is concluded. */
export const leastRequests = 20;
/** How long the rate before a change is measured, ms. */
export const baselineMs = 5_000;
const sampleMs = 1_000;
const timeoutMs = 5_000;

/** Which requests a change can make fail: a test on the service that they went to. */
export type Covers = (destinationService: string) => boolean;

/**
 * The hosts that objects name. Of kinds that name none (policies, filters, …), and requests whose service was not found out, any
 * request may be concerned.
 */
export function coverageOf(objects: readonly Pick<ParsedObject, 'object'>[], namespace: string): Covers {
  const hosts = new Set<string>();
  for (const { object } of objects) {
    const own = hostsOf(object);
    if (own.length === 0) return () => true;
    const where = object.metadata.namespace || namespace;
    for (const host of own) hosts.add(host.includes('.') || host === '*' ? host : `${host}.${where}.svc.`);
  }
  if (hosts.has('*')) return () => true;
  return (service) =>
    service === 'unknown' ||
    [...hosts].some((host) =>
      host.endsWith('.svc.')
        ? service.startsWith(host)
        : host.startsWith('*.')
          ? service.endsWith(host.slice(1))
          : service === host || service.startsWith(`${host}.`),
    );
}

function hostsOf({ kind, metadata, spec }: ConfigObject): string[] {
  const fields = (spec ?? {}) as { hosts?: string[]; host?: string };
  if (kind === 'Service') return [metadata.name];
  if (kind === 'DestinationRule') return fields.host === undefined ? [] : [fields.host];
  if (kind === 'ServiceEntry') return fields.hosts ?? [];
  return kind === 'VirtualService' ? [...(fields.hosts ?? []), ...destinationsIn(spec)] : [];
}

function destinationsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(destinationsIn);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const { host } = (inner ?? {}) as { host?: unknown };
    const own = name === 'destination' && typeof host === 'string' ? [host] : [];
    return [...own, ...destinationsIn(inner)];
  });
}

/** Reads the metrics of every proxy of a mesh on this machine. */
export class ErrorMeter {
  readonly #covers: Covers;
  /** Metrics port → `name.namespace` of the proxy. */
  readonly #proxies: ReadonlyMap<number, string>;

  private constructor(proxies: ReadonlyMap<number, string>, covers: Covers) {
    this.#proxies = proxies;
    this.#covers = covers;
  }

  private static async open(paths: StatePaths | undefined, covers: Covers): Promise<ErrorMeter> {
    if (!paths)
      throw new CodedError(
        'UsageInvalid',
        '--max-error-rate reads the metrics of the proxies on this machine, and the mesh runs elsewhere; nothing was applied',
      );
    const { instances } = await callControl<MeshStatus>(paths.controlSocket, 'status');
    const proxies = instances.map(
      ({ metricsPort, name, namespace }) => [metricsPort, `${name}.${namespace}`] as const,
    );
    return new ErrorMeter(new Map(proxies.filter(([port]) => port > 0)), covers);
  }

  /** Undefined: nobody is watched. Who goes first in a canary is as good as known where no proxy can be asked. */
  static async forCare(
    paths: StatePaths | undefined,
    { errors, canary }: { readonly errors: ErrorCondition | undefined; readonly canary: readonly number[] },
    covers: Covers,
  ): Promise<ErrorMeter | undefined> {
    if (errors) return ErrorMeter.open(paths, covers);
    return paths && canary.length > 0 ? ErrorMeter.open(paths, covers).catch(() => undefined) : undefined;
  }

  /** Proxies (`name.namespace`) of those who made such requests since they started, the busiest first. */
  async callers(): Promise<string[]> {
    return [...(await this.#read())]
      .filter(([, { requests }]) => requests > 0)
      .sort(([, a], [, b]) => b.requests - a.requests)
      .flatMap(([port]) => this.#proxies.get(port) ?? []);
  }

  /** The rate over a time from now on; calls back after each second, and ends early where that returns true. `of`: these proxies' alone. */
  async measure(
    ms: number,
    signal: AbortSignal,
    onSample?: (rate: ErrorRate) => boolean,
    of?: ReadonlySet<string>,
  ): Promise<ErrorRate> {
    const until = performance.now() + ms;
    const sum: Counts = { requests: 0, errors: 0 };
    let last = await this.#read(of);
    for (;;) {
      await sleep(Math.max(0, Math.min(sampleMs, until - performance.now())));
      const next = await this.#read(of);
      for (const [port, counts] of next) {
        // A proxy that started anew counts from zero.
        const before = last.get(port);
        const isSame = before !== undefined && before.requests <= counts.requests;
        sum.requests += counts.requests - (isSame ? before.requests : 0);
        sum.errors += Math.max(0, counts.errors - (isSame ? before.errors : 0));
      }
      last = new Map([...last, ...next]);
      const rate = { ...sum, rate: sum.requests === 0 ? 0 : sum.errors / sum.requests };
      if (onSample?.(rate) || performance.now() >= until || signal.aborted) return rate;
    }
  }

  async #read(of?: ReadonlySet<string>): Promise<Map<number, Counts>> {
    const found = new Map<number, Counts>();
    const ports = [...this.#proxies].flatMap(([port, name]) => (!of || of.has(name) ? [port] : []));
    await pooled(ports, 8, async (port) => {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/stats/prometheus`, {
          signal: AbortSignal.timeout(timeoutMs),
        });
        found.set(port, countRequests(await answer.text(), this.#covers));
      } catch {
        // One that is being started or ended has nothing to say; the others do.
      }
    });
    if (found.size === 0 && ports.length > 0)
      throw new CodedError(
        'MetricsUnreachable',
        'no proxy answers with its metrics; ostria ps shows whether they run',
      );
    return found;
  }
}

/** Requests in Prometheus' text form, as the callers' proxies report them. */
export function countRequests(text: string, covers: Covers): Counts {
  const counts: Counts = { requests: 0, errors: 0 };
  for (const line of text.split('\n')) {
    if (!line.startsWith('istio_requests_total{') || !line.includes('reporter="source"')) continue;
    const service = /[{,]destination_service="([^"]*)"/.exec(line)?.[1] ?? 'unknown';
    if (!covers(service)) continue;
    const value = Number(
      line
        .slice(line.lastIndexOf('}') + 1)
        .trim()
        .split(' ')[0],
    );
    if (!Number.isFinite(value)) continue;
    counts.requests += value;
    if (/[{,]response_code="5\d\d"/.test(line)) counts.errors += value;
  }
  return counts;
}
