import type { KindRegistry } from '../config/kind.ts';
import { splitKey } from '../config/object.ts';
import type { Store } from '../config/store/store.ts';
import type { HostAddress } from '../registry/virtual-ips.ts';
import type { Ledger } from '../xds/ledger.ts';
import type { Logger } from './log.ts';
import { NameChecks } from './name-checks.ts';
import { refOfOrigin } from './origin-ref.ts';
import { ProblemReporter } from './problem-reporter.ts';
import { StatusReporter } from './status-reporter.ts';
import { StatusWriter } from './status-writer.ts';

/** Conditions on objects: what they cannot have, and what proxies refuse. */
export function reportStatus(store: Store, kinds: KindRegistry, ledger: Ledger, log: Logger) {
  const writer = new StatusWriter({ store, onError: (message) => log.warn(message) });
  const problems = new ProblemReporter(kinds, writer, (error) =>
    log.error({ err: error }, 'looking for problems of objects failed'),
  );
  const refusals = new StatusReporter(kinds, writer);
  const unfollow = refusals.follow(ledger);
  const names = new NameChecks({
    writer,
    refOf: (key) => refOfOrigin(kinds, { kind: 'ServiceEntry', ...splitKey(key) }),
  });
  return {
    writer,
    problems,
    names,
    virtualIps(key: string, addresses: readonly HostAddress[]): void {
      const ref = refOfOrigin(kinds, { kind: 'ServiceEntry', ...splitKey(key) });
      if (ref) writer.set(ref, 'addresses', addresses.length > 0 ? addresses : undefined);
    },
    refusals,
    async stop(): Promise<void> {
      unfollow();
      names.close();
      problems.close();
      await writer.close();
    },
  };
}
