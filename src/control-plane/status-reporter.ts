import type { KindRegistry } from '../config/kind.ts';
import type { Origin } from '../config/origin.ts';
import type { CompileFailure } from '../snapshot/push.ts';
import type { Ledger, RecoveredEvent, RejectedEvent } from '../xds/ledger.ts';
import { refOfOrigin } from './origin-ref.ts';
import type { StatusWriter } from './status-writer.ts';

/** The condition that says whether proxies took what an object asks for. */
export const programmedCondition = 'Programmed';

/** Proxies named in a condition; more are counted. */
const namedProxies = 3;

/** Turns what proxies refuse into conditions on the objects that caused it, and takes them back. */
export class StatusReporter {
  readonly #kinds: KindRegistry;
  readonly #writer: StatusWriter;
  /** Object → resource (`proxy|type|name`) → what the proxy said. */
  readonly #refused = new Map<string, Map<string, RejectedEvent>>();

  constructor(kinds: KindRegistry, writer: StatusWriter) {
    this.#kinds = kinds;
    this.#writer = writer;
  }

  /** Listens to a ledger; returns the way to stop. */
  follow(ledger: Ledger): () => void {
    const stops = [
      ledger.onRejected((event) => this.#rejected(event)),
      ledger.onRecovered((event) => this.#recovered(event)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  #rejected(event: RejectedEvent): void {
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
        message: 'every proxy that had refused it has accepted it',
      });
      return;
    }
    const events = [...refused.values()];
    const proxies = [...new Set(events.map(({ proxyId }) => proxyId))];
    const named = proxies.slice(0, namedProxies).join(', ');
    const more = proxies.length > namedProxies ? ` and ${proxies.length - namedProxies} more` : '';
    this.#writer.report(ref, programmedCondition, {
      status: 'False',
      reason: 'RejectedByProxy',
      message: `refused by ${named}${more}, which keep what they had: ${events[0]?.message ?? ''}`.slice(
        0,
        1_000,
      ),
    });
  }
}

function distinctObjects(origins: readonly Origin[]): Set<string> {
  return new Set(origins.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`));
}

/** One line for the log. */
export function describeFailure(failure: CompileFailure): string {
  const reason = failure.error instanceof Error ? failure.error.message : String(failure.error);
  return `${failure.query}(${failure.args.join(', ')}) failed for ${failure.proxies.size} proxies, which keep their last good resources: ${reason}`;
}
