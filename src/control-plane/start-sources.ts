import { join } from 'node:path';
import type { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import { DirectorySource } from '../config/sources/directory-source.ts';
import { formatProblem } from '../config/sources/source-problem.ts';
import { StoreSource } from '../config/sources/store-source.ts';
import type { Store } from '../config/store/store.ts';
import { createAdmitObject } from './admit-object.ts';
import type { Flusher } from './flusher.ts';
import type { IdentityService } from './identity-service.ts';
import { KeyKeeper } from './keys/key-keeper.ts';
import type { Logger } from './log.ts';
import type { CompileTarget } from './mesh-state.ts';
import type { ControlPlaneOptions } from './options.ts';
import { TrustDomains } from './trust/trust-domains.ts';

/** Objects of the store. */
export function storeSource(store: Store, log: Logger): StoreSource {
  return new StoreSource({
    store,
    onProblem: (problem) =>
      problem === undefined ? log.info('the store answers again') : log.warn(`the store: ${problem}`),
  });
}

/** Objects of the YAML files of a directory. */
export function directorySource(
  directory: string,
  kinds: ReturnType<typeof createBuiltInRegistry>,
  log: Logger,
): DirectorySource {
  return new DirectorySource({
    directory,
    admit: createAdmitObject(kinds),
    namespaced: (group, kind) => kinds.byKind(group, kind)?.namespaced,
    onProblem: (problems) => {
      if (problems.length === 0) log.info(`${directory}: all well again`);
      for (const problem of problems)
        log[problem.severity === 'error' ? 'error' : 'warn'](formatProblem(problem));
    },
  });
}

/** Follows the keys of tokens that objects name by URL. */
export async function keepKeys(
  options: ControlPlaneOptions,
  compiles: readonly CompileTarget[],
  flusher: Flusher,
  log: Logger,
): Promise<KeyKeeper> {
  const keeper = new KeyKeeper({
    publish: (changes) => {
      for (const compile of compiles) compile.apply(changes);
      flusher.request();
    },
    fetch: { allowed: options.allowFetch },
    ...(options.state !== undefined ? { cacheFile: join(options.state, 'token-keys.json') } : {}),
    onProblem: (message) => log.warn(message),
  });
  await keeper.load();
  return keeper;
}

/** Follows the roots of other trust domains. */
export async function followTrustDomains(
  options: ControlPlaneOptions,
  identity: IdentityService,
  log: Logger,
): Promise<TrustDomains> {
  const trust = new TrustDomains({
    publish: (domains) => identity.setDomains(domains),
    fetch: { allowed: options.allowFetch },
    ...(options.state !== undefined ? { cacheFile: join(options.state, 'trust-bundles.json') } : {}),
    onProblem: (message) => log.warn(message),
  });
  await trust.load();
  return trust;
}

/** Aliases of the trust domain that the settings name count at once. */
export function aliasTarget(identity: IdentityService): CompileTarget {
  return { apply: () => undefined, setMesh: (mesh) => identity.setAliases(mesh.trustDomainAliases) };
}
