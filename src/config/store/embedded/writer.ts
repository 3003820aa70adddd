import type { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../../kit/coded-error.ts';
import { StoreError } from '../store.ts';
import { pragmas } from './schema.ts';

/** A row of `versions`: revision, resource, key, revision of the state before (0: none), JSON or null for a deletion. */
export type VersionRow = [
  revision: number,
  resource: string,
  key: string,
  previous: number,
  object: string | null,
];

/** What is done in one transaction. */
export type WriterTask =
  | { type: 'append'; rows: VersionRow[]; revision: number }
  /** Drops what was superseded by, or deleted at, a revision in (after, upTo]. */
  | { type: 'compact'; after: number; upTo: number };

/** Carries tasks out one by one; resolves when a task is durable. Rejects with `StoreUnavailable`. */
export interface Writer {
  run(task: WriterTask): Promise<void>;
  close(): Promise<void>;
}

const statements = {
  insert: 'INSERT INTO versions (revision, resource, key, previous, object) VALUES (?, ?, ?, ?, ?)',
  revision: 'UPDATE state SET revision = ?',
  compacted: 'UPDATE state SET compacted = ?',
  dropSuperseded: `DELETE FROM versions WHERE id IN (
    SELECT old.id FROM versions AS new JOIN versions AS old
      ON old.resource = new.resource AND old.key = new.key AND old.revision = new.previous
    WHERE new.revision > ? AND new.revision <= ?)`,
  dropDeletions: 'DELETE FROM versions WHERE revision > ? AND revision <= ? AND object IS NULL',
};

/**
 * Prepares the statements and returns what carries a task out. Also runs in a thread, from its source text: so it may use
 * nothing but its arguments. (A thread from a file of its own would need a bundle of its own.)
 */
function makeRunner(database: DatabaseSync, sql: typeof statements): (task: WriterTask) => void {
  const insert = database.prepare(sql.insert);
  const revision = database.prepare(sql.revision);
  const compacted = database.prepare(sql.compacted);
  const dropSuperseded = database.prepare(sql.dropSuperseded);
  const dropDeletions = database.prepare(sql.dropDeletions);
  return (task) => {
    database.exec('BEGIN IMMEDIATE');
    try {
      if (task.type === 'append') {
        for (const row of task.rows) insert.run(...row);
        revision.run(task.revision);
      } else {
        dropSuperseded.run(task.after, task.upTo);
        dropDeletions.run(task.after, task.upTo);
        compacted.run(task.upTo);
      }
      database.exec('COMMIT');
    } catch (error) {
      // A full disk, say, may have ended the transaction already.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };
}

/** For `:memory:`: in this thread, on the very connection that reads. */
export function inlineWriter(database: DatabaseSync): Writer {
  const run = makeRunner(database, statements);
  return {
    run: async (task) => run(task),
    close: async () => {},
  };
}

const threadSource = `
const { parentPort, workerData } = require('node:worker_threads');
const { DatabaseSync } = require('node:sqlite');
const database = new DatabaseSync(workerData.path);
database.exec(workerData.pragmas);
const run = (${makeRunner.toString()})(database, workerData.statements);
parentPort.on('message', (task) => {
  if (task === 'close') {
    database.close();
    parentPort.close();
    return;
  }
  try {
    run(task);
    parentPort.postMessage(null);
  } catch (error) {
    parentPort.postMessage(error.message);
  }
});
`;

/** In a thread, because each commit waits for the disk, and the event loop serves proxies meanwhile. */
export class ThreadWriter implements Writer {
  readonly #worker: Worker;
  readonly #path: string;
  readonly #pending: { resolve: () => void; reject: (error: StoreError) => void }[] = [];
  readonly #exited: Promise<void>;
  #broken: StoreError | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#worker = new Worker(threadSource, {
      eval: true,
      // Loaders and flags of the main thread are not for this one.
      execArgv: [],
      workerData: { path, pragmas, statements },
      name: 'store-writer',
    });
    this.#worker.unref();
    this.#worker.on('message', (failure: string | null) => this.#answered(failure));
    this.#worker.on('error', (error) => this.#break(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#break(new Error('the writing thread ended'));
        resolve();
      });
    });
  }

  run(task: WriterTask): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      // The process stays alive for what is under way, and for no idle store.
      this.#worker.ref();
      this.#worker.postMessage(task);
    });
  }

  async close(): Promise<void> {
    this.#worker.ref();
    this.#worker.postMessage('close');
    await this.#exited;
  }

  #answered(failure: string | null): void {
    const first = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker.unref();
    if (failure === null) first?.resolve();
    else first?.reject(this.#unavailable(failure));
  }

  #break(cause: unknown): void {
    this.#broken ??= this.#unavailable(`${messageOf(cause)}; open the store again`);
    for (const { reject } of this.#pending.splice(0)) reject(this.#broken);
  }

  #unavailable(why: string): StoreError {
    return new StoreError(
      'StoreUnavailable',
      `${this.#path} could not be written: ${why}; check the disk's space and rights`,
    );
  }
}
