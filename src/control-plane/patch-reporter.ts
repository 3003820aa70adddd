import type { KindRegistry } from '../config/kind.ts';
import type { ConfigObject, StatusCondition } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { type EnvoyFilter, patchId, selectsProxy } from '../features/extensibility/envoy-filter/schema.ts';
import { readBootstrapPatchReport } from '../kit/bootstrap-patch-report.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { Push } from '../snapshot/push.ts';
import { type Resource, removedType, typeUrls } from '../snapshot/resource.ts';
import { refOfOrigin } from './origin-ref.ts';
import type { MeshBootstrapPatch } from './proxy-settings/bootstrap-patches.ts';
import type { StatusWriter } from './status-writer.ts';

/** The condition that says whether an EnvoyFilter's patches found something to change. */
export const matchedCondition = 'Matched';

export interface PatchReporterOptions {
  readonly kinds: KindRegistry;
  readonly writer: Pick<StatusWriter, 'report'>;
  readonly compile: {
    readonly proxies: ReadonlyMap<string, MeshProxy>;
    resources(proxyId: string, typeUrl: string): ReadonlyMap<string, Resource>;
    onPush(listener: (push: Push) => void): () => void;
  };
  readonly rootNamespace: () => string;
  /** The BOOTSTRAP patches of all filters. */
  readonly bootstrapPatches: () => readonly MeshBootstrapPatch[];
  /** Pause between a change and the look at what patches made of it, in ms. Default 1,000. */
  readonly delayMs?: number;
  /** Pause between two looks at what agents tell of BOOTSTRAP patches, in ms: a proxy that comes back is no change. Default 5,000. */
  readonly bootstrapMs?: number;
  /** How long a proxy may run without a BOOTSTRAP patch before that is said, in ms: most are started anew for it. Default 30,000. */
  readonly awaitMs?: number;
  /** Shortest time between two writes to one object, in ms. Default 30,000. */
  readonly restMs?: number;
}

/** Types in which patches leave their mark. */
const patchedTypes = [
  typeUrls.cluster,
  typeUrls.listener,
  typeUrls.route,
  typeUrls.virtualHost,
  typeUrls.extension,
  removedType,
];

/**
 * Says on each EnvoyFilter which of its patches match nothing in the connected proxies that it applies to. It looks at what the compile
 * made, seldom, and writes only what changed: proxies come and go.
 */
export class PatchReporter {
  readonly #options: Required<PatchReporterOptions>;
  readonly #filters = new Map<string, EnvoyFilter>();
  readonly #told = new Map<string, { text: string; at: number }>();
  /** Filter → since when proxies run without one of its BOOTSTRAP patches. */
  readonly #awaited = new Map<string, number>();
  readonly #unsubscribe: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PatchReporterOptions) {
    this.#options = { delayMs: 1_000, bootstrapMs: 5_000, awaitMs: 30_000, restMs: 30_000, ...options };
    this.#unsubscribe = options.compile.onPush(() => this.#later(this.#options.delayMs));
  }

  observe(changes: readonly ConfigChange[]): void {
    for (const { kind, key, object } of changes) {
      if (kind !== 'EnvoyFilter') continue;
      if (object) this.#filters.set(key, object as EnvoyFilter);
      else this.#filters.delete(key);
      this.#awaited.delete(key);
      const told = object && toldBefore(object);
      if (told && !this.#told.has(key)) this.#told.set(key, { text: told, at: 0 });
      if (!object) this.#told.delete(key);
      this.#later(this.#options.delayMs);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#unsubscribe();
  }

  #later(ms: number): void {
    if (this.#filters.size > 0) this.#timer ??= setTimeout(() => this.#look(), ms).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const applied = this.#appliedPatches();
    const proxies = [...this.#options.compile.proxies.values()];
    if ([...this.#filters.values()].some(patchesBootstrap)) this.#later(this.#options.bootstrapMs);
    for (const [key, filter] of this.#filters)
      this.#report(
        key,
        refusedAtStart(key, filter, proxies) ??
          this.#awaitsStart(key, filter, proxies) ??
          verdictOf(key, filter, applied, this.#selected(filter, proxies)),
      );
  }

  /** Agents that nobody starts anew take BOOTSTRAP patches when their Envoy is started the next time. */
  #awaitsStart(key: string, filter: EnvoyFilter, proxies: readonly MeshProxy[]): Verdict | undefined {
    if (!patchesBootstrap(filter)) return undefined;
    const without = this.#options
      .bootstrapPatches()
      .filter(({ id }) => id.startsWith(`${key}#`))
      .flatMap(({ id, isFor }) => {
        const names = proxies
          .filter(
            (proxy) => !knowsPatch(proxy, id) && isFor({ ...proxy, isGateway: proxy.type === 'router' }),
          )
          .map(({ namespace, name }) => `${namespace}/${name}`);
        return names.length === 0 ? [] : [{ index: id.slice(key.length + 1), names }];
      });
    if (without.length === 0) {
      this.#awaited.delete(key);
      return undefined;
    }
    const since = this.#awaited.get(key) ?? Date.now();
    this.#awaited.set(key, since);
    if (Date.now() - since < this.#options.awaitMs) return undefined;
    const told = without.slice(0, 5).map(({ index, names }) => {
      const more = names.length > 1 ? ` and ${names.length - 1} more` : '';
      return `spec.configPatches[${index}]: ${names[0]}${more} runs without it`;
    });
    return {
      status: 'False',
      reason: 'AwaitsRestart',
      message: `${told.join('; ')}: Envoy reads its bootstrap when it starts. An agent that \`ostria up\` did not start takes it up when it is ended (SIGTERM) and started again`,
    };
  }

  #selected(filter: EnvoyFilter, proxies: readonly MeshProxy[]): number {
    return proxies.filter((proxy) => selectsProxy(filter, proxy, this.#options.rootNamespace())).length;
  }

  /** Classes of proxies share their maps: each is looked at once. */
  #appliedPatches(): ReadonlySet<string> {
    const applied = new Set<string>();
    const seen = new Set<unknown>();
    for (const id of this.#options.compile.proxies.keys())
      for (const type of patchedTypes) {
        const resources = this.#options.compile.resources(id, type);
        if (seen.has(resources)) continue;
        seen.add(resources);
        for (const { hints } of resources.values())
          for (const patch of hints?.patches ?? []) applied.add(patch);
      }
    return applied;
  }

  #report(key: string, verdict: Verdict): void {
    const told = this.#told.get(key);
    if (told?.text === verdict.message) return;
    // Of an object that was never complained about nothing needs to be taken back.
    if (!told && verdict.status === 'True') return;
    const now = Date.now();
    const wait = (told?.at ?? 0) + this.#options.restMs - now;
    if (wait > 0) {
      this.#later(wait);
      return;
    }
    const [namespace = '', name = ''] = key.split('/');
    const ref = refOfOrigin(this.#options.kinds, { kind: 'EnvoyFilter', namespace, name });
    if (!ref) return;
    this.#told.set(key, { text: verdict.message, at: now });
    this.#options.writer.report(ref, matchedCondition, verdict);
  }
}

type Verdict = Omit<StatusCondition, 'type'> & { message: string };

function verdictOf(
  key: string,
  filter: EnvoyFilter,
  applied: ReadonlySet<string>,
  selected: number,
): Verdict {
  if (selected === 0)
    return { status: 'Unknown', reason: 'NoProxy', message: 'no connected proxy is selected by this filter' };
  const lost = (filter.spec?.configPatches ?? []).flatMap(({ applyTo }, index) =>
    applyTo === 'BOOTSTRAP' || applied.has(patchId(key, index)) ? [] : [index],
  );
  if (lost.length === 0)
    return { status: 'True', reason: 'Matched', message: 'every patch changes something' };
  const named = lost.slice(0, 5).map((index) => `spec.configPatches[${index}]`);
  const more = lost.length > named.length ? ` and ${lost.length - named.length} more` : '';
  return {
    status: 'False',
    reason: 'PatchMatchesNothing',
    message: `${named.join(', ')}${more} changes nothing of what the ${selected} connected ${selected === 1 ? 'proxy that this filter selects holds' : 'proxies that this filter selects hold'} now: compare the match with \`ostria proxy-config\``,
  };
}

function patchesBootstrap({ spec }: EnvoyFilter): boolean {
  return spec?.configPatches?.some(({ applyTo }) => applyTo === 'BOOTSTRAP') ?? false;
}

/** Whether the proxy's agent had the patch when it started Envoy. */
function knowsPatch({ metadata }: MeshProxy, id: string): boolean {
  const { applied, refused } = readBootstrapPatchReport(metadata);
  return applied.includes(id) || Object.hasOwn(refused, id);
}

/** BOOTSTRAP patches that Envoy does not start with: the agents leave them out, and say so. */
function refusedAtStart(
  key: string,
  filter: EnvoyFilter,
  proxies: readonly MeshProxy[],
): Verdict | undefined {
  const patches = filter.spec?.configPatches ?? [];
  const refusals = patches.flatMap(({ applyTo }, index) => {
    if (applyTo !== 'BOOTSTRAP') return [];
    const told = proxies.flatMap(({ name, namespace, metadata }) => {
      const why = readBootstrapPatchReport(metadata).refused[patchId(key, index)];
      return why === undefined ? [] : [{ proxy: `${namespace}/${name}`, why }];
    });
    const [first] = told;
    const more = told.length > 1 ? ` and ${told.length - 1} more` : '';
    return first
      ? [
          `spec.configPatches[${index}]: ${first.proxy}${more} runs without it, as Envoy does not start with it: ${first.why}`,
        ]
      : [];
  });
  return refusals.length === 0
    ? undefined
    : { status: 'False', reason: 'RejectedByProxy', message: refusals.slice(0, 5).join('; ') };
}

function toldBefore(object: ConfigObject): string | undefined {
  const { conditions } = (object.status ?? {}) as { conditions?: StatusCondition[] };
  return conditions?.find(({ type }) => type === matchedCondition)?.message;
}
