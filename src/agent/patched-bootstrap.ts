import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { writeFileAtomicSync } from '../kit/atomic-file.ts';
import { bootstrapPatchReport } from '../kit/bootstrap-patch-report.ts';
import { messageOf } from '../kit/coded-error.ts';
import type { AgentLog } from './agent-log.ts';
import { type BootstrapPatch, mergeBootstrap } from './merge-bootstrap.ts';

type Json = Readonly<Record<string, unknown>>;

/** An Envoy that needs longer to read its bootstrap is taken for one that cannot. */
const validateMs = 15_000;
/** Starts that fail before none of the patches is used. */
const mostFailures = 3;
/** Node metadata travels with every connection. */
const longestReason = 500;

export interface PatchedBootstrapOptions {
  readonly base: Json;
  readonly patches: readonly BootstrapPatch[];
  readonly envoyPath: string;
  /** Written and removed while a bootstrap is tried. */
  readonly tryFile: string;
  readonly log: AgentLog;
}

/**
 * The bootstrap with as many of the patches as Envoy starts with. Each is tried with Envoy before Envoy is started; where it ends at
 * once all the same (a port that is taken shows only then), it is started with fewer and at last with none. What became of each is told to the control
 * plane by the node's metadata.
 */
export class PatchedBootstrap {
  readonly #options: PatchedBootstrapOptions;
  #refused = new Map<string, string>();
  #failures = 0;
  #text: string | undefined;

  constructor(options: PatchedBootstrapOptions) {
    this.#options = options;
  }

  /** What Envoy is to be started with. `failure`: why it ended soon after its last start. */
  async render(failure?: string): Promise<string> {
    const { patches } = this.#options;
    if (patches.length === 0) return this.#write([]);
    if (failure !== undefined) this.#suspect(failure);
    if (failure !== undefined || this.#text === undefined) this.#text = await this.#choose();
    return this.#text;
  }

  /** Of patches that Envoy could read the last is the first to go; after a few tries all do. */
  #suspect(failure: string): void {
    const left = this.#options.patches.filter(({ id }) => !this.#refused.has(id));
    const suspects = ++this.#failures < mostFailures ? left.slice(-1) : left;
    for (const { id } of suspects) this.#refuse(id, failure);
  }

  async #choose(): Promise<string> {
    const wanted = this.#options.patches.filter(({ id }) => !this.#refused.has(id));
    if (wanted.length === 0) return this.#write([]);
    if ((await this.#problem(wanted)) === undefined) return this.#write(wanted);
    let taken: readonly BootstrapPatch[] = [];
    for (const patch of wanted) {
      const problem = await this.#problem([...taken, patch]);
      if (problem === undefined) taken = [...taken, patch];
      else this.#refuse(patch.id, problem);
    }
    return this.#write(taken);
  }

  #refuse(id: string, why: string): void {
    this.#refused.set(id, why.slice(0, longestReason));
    this.#options.log.warn('Envoy does not start with a BOOTSTRAP patch: it is left out', { patch: id, why });
  }

  #write(taken: readonly BootstrapPatch[]): string {
    const { base, patches } = this.#options;
    const merged = taken.reduce((below, { value }) => mergeBootstrap(below, value), base);
    if (patches.length === 0) return JSON.stringify(merged, null, 1);
    const node = base.node as { metadata: Json };
    const report = { applied: taken.map(({ id }) => id), refused: Object.fromEntries(this.#refused) };
    const metadata = { ...node.metadata, [bootstrapPatchReport]: report };
    return JSON.stringify({ ...merged, node: { ...node, metadata } }, null, 1);
  }

  /** What Envoy says against a bootstrap. */
  async #problem(patches: readonly BootstrapPatch[]): Promise<string | undefined> {
    const { envoyPath, tryFile } = this.#options;
    try {
      writeFileAtomicSync(tryFile, this.#write(patches));
      return await validate(envoyPath, tryFile);
    } catch (error) {
      return messageOf(error);
    } finally {
      rmSync(tryFile, { force: true });
    }
  }
}

function validate(envoyPath: string, file: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const args = ['--mode', 'validate', '-c', file, '--log-level', 'error', '--log-format', '%v'];
    execFile(
      envoyPath,
      [...args, '--disable-hot-restart'],
      { timeout: validateMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 },
      (error, stdout, stderr) => {
        if (!error) return resolve(undefined);
        const said = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '');
        resolve(error.killed ? `no answer within ${validateMs} ms` : reasonIn(said) || error.message);
      },
    );
  });
}

/** Envoy repeats the file's name before its reason. */
function reasonIn(lines: readonly string[]): string {
  return (lines[0] ?? '').replace(/^error initializing configuration '[^']*': /, '').trim();
}
