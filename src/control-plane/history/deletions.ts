import type { AdmissionHook } from '../../config/api-server/admission-hooks.ts';

/** Deletions that wait to be seen in the configuration, at most; the oldest are forgotten. */
const mostNoted = 10_000;

/**
 * Who asked for deletions: what is gone has no field managers that would tell. Named like the managers of writes, by the program that
 * asked; where another user than the administrator did, with that name.
 */
export class Deletions {
  /** `group/Kind namespace/name` → who. */
  readonly #noted = new Map<string, string>();

  readonly hook: AdmissionHook = {
    name: 'history',
    validate: ({ operation, kind, namespace, name, user, agent, dryRun }) => {
      if (operation === 'DELETE' && !dryRun) {
        const id = `${kind.group}/${kind.kind} ${namespace}/${name}`;
        this.#noted.delete(id);
        this.#noted.set(id, user.name === administrator ? agent : `${agent} (${user.name})`);
        const [oldest] = this.#noted.keys();
        if (this.#noted.size > mostNoted && oldest !== undefined) this.#noted.delete(oldest);
      }
      return [];
    },
  };

  /** Who asked, once. */
  take(id: string): string | undefined {
    const who = this.#noted.get(id);
    this.#noted.delete(id);
    return who;
  }
}

/** Name of the user of `ostria up`'s kubeconfig. */
const administrator = 'admin';
