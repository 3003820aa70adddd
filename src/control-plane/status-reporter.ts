import type { KindRegistry } from '../config/kind.ts';
import type { ConfigObject, StatusCondition } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import type { CompileFailure } from '../snapshot/push.ts';
import type { Ledger, RecoveredEvent, RejectedEvent } from '../xds/ledger.ts';
import { refOfOrigin } from './origin-ref.ts';
import type { StatusWriter } from './status-writer.ts';

/** The condition that says whether proxies took what an object asks for. */
export const programmedCondition = 'Programmed';

const refusedReason = 'RejectedByProxy';

/** Proxies named in a condition; more are counted. */
const namedProxies = 3;

/** Turns what proxies refuse into conditions on the objects that caused it, and takes them back. */
export class StatusReporter {
  readonly #kinds: KindRegistry;
  readonly #writer: StatusWriter;
  /** Object → resource (`proxy|type|name`) → what the proxy said. */
  readonly #refused = new Map<string, Map<string, RejectedEvent>>();

  /** Objects that say of an earlier run that they are refused, until it is clear whether anybody repeats it. */
  readonly #doubtful = new Set<string>();
  readonly #doubtMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** `doubtMs`: how long proxies have to repeat what they refused in an earlier run. Default 60,000. */
  constructor(kinds: KindRegistry, writer: StatusWriter, options: { readonly doubtMs?: number } = {}) {
    this.#kinds = kinds;
    this.#writer = writer;
    this.#doubtMs = options.doubtMs ?? 60_000;
  }

  /** Listens to a ledger; returns the way to stop. */
  follow(ledger: Ledger): () => void {
    const stops = [
      ledger.onRejected((event) => this.#rejected(event)),
      ledger.onRecovered((event) => this.#recovered(event)),
    ];
    return () => {
      for (const stop of stops) stop();
      clearTimeout(this.#timer);
    };
  }

  /** Looks at what the store brings: a refusal of an earlier run that no proxy repeats is taken back. */
  observe(changes: readonly ConfigChange[]): void {
    for (const { kind, object } of changes) {
      if (!object || !saysRefused(object)) continue;
      const id = `${kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      if (!this.#refused.has(id)) this.#doubtful.add(id);
    }
    if (this.#doubtful.size > 0) this.#timer ??= setTimeout(() => this.#settleDoubts(), this.#doubtMs);
  }

  #settleDoubts(): void {
    this.#timer = undefined;
    for (const id of this.#doubtful) if (!this.#refused.has(id)) this.#report(id);
    this.#doubtful.clear();
  }

  #rejected(event: RejectedEvent): void {
    // What users patched themselves is theirs to mend: filter-quarantine.ts deals with it.
    if (event.origins.some(({ kind }) => kind === 'EnvoyFilter')) return;
    for (const origin of distinctObjects(event.origins)) {
      const refused = this.#refused.get(origin) ?? new Map<string, RejectedEvent>();
      for (const name of event.resources) refused.set(`${event.proxyId}|${event.typeUrl}|${name}`, event);
      this.#refused.set(origin, refused);
      this.#report(origin);
    }
  }

  #recovered(event: RecoveredEvent): void {
    for (const [origin, refused] of this.#refused) {
      let changed = false;
      for (const name of event.resources)
        changed = refused.delete(`${event.proxyId}|${event.typeUrl}|${name}`) || changed;
      if (!changed) continue;
      if (refused.size === 0) this.#refused.delete(origin);
      this.#report(origin);
    }
  }

  #report(objectId: string): void {
    const [kindName, namespace, name] = objectId.split('/') as [string, string, string];
    const ref = refOfOrigin(this.#kinds, { kind: kindName, namespace, name });
    if (!ref) return;
    const refused = this.#refused.get(objectId);
    if (!refused) {
      this.#writer.report(ref, programmedCondition, {
        status: 'True',
        reason: 'Accepted',
        message: 'no connected proxy refuses it',
      });
      return;
    }
    const events = [...refused.values()];
    const proxies = [...new Set(events.map(({ proxyId }) => proxyId))];
    const named = proxies.slice(0, namedProxies).join(', ');
    const more = proxies.length > namedProxies ? ` and ${proxies.length - namedProxies} more` : '';
    this.#writer.report(ref, programmedCondition, {
      status: 'False',
      reason: refusedReason,
      message: `refused by ${named}${more}, which keep what they had: ${events[0]?.message ?? ''}`.slice(
        0,
        1_000,
      ),
    });
  }
}

function saysRefused(object: ConfigObject): boolean {
  const conditions = (object.status as { conditions?: StatusCondition[] } | undefined)?.conditions ?? [];
  return conditions.some(
    ({ type, status, reason }) =>
      type === programmedCondition && status === 'False' && reason === refusedReason,
  );
}

function distinctObjects(origins: readonly Origin[]): Set<string> {
  return new Set(origins.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`));
}

/** One line for the log. */
export function describeFailure(failure: CompileFailure): string {
  const reason = failure.error instanceof Error ? failure.error.message : String(failure.error);
  return `${failure.query}(${failure.args.join(', ')}) failed for ${failure.proxies.size} proxies, which keep their last good resources: ${reason}`;
}
