import type { ConfigObject } from '../../config/object.ts';
import type { JsonDelta } from '../../kit/json-delta.ts';

/** Who keeps an object: `files` and `store` are the config sources; `start`: found changed when the control plane started. */
export type HistorySource = string;

/** One object that came, changed or went. Of Secrets the values are never in it. */
export interface HistoryChange {
  /** `group/Kind`; '' is the core group: `/Service`. */
  readonly kind: string;
  /** `namespace/name`. */
  readonly key: string;
  /** The whole object, where it is new or its delta would be longer. */
  readonly object?: ConfigObject;
  /** Of a whole object: there was another before it. */
  readonly replaced?: true;
  /** From the state before. With neither it is gone. */
  readonly delta?: JsonDelta;
  /** Field manager of the write, or the program that deleted it, where one is known. */
  readonly by?: string;
  /** Where it stands, of objects from files. */
  readonly file?: string;
  readonly line?: number;
}

/** What one commit of a source changed: a revision of the history. */
export interface HistoryEntry {
  /** Counts up from 1 over all runs. */
  readonly revision: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly source: HistorySource;
  readonly changes: readonly HistoryChange[];
}

/** A change as `ostria history` lists it. */
export interface ListedChange {
  readonly revision: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly source: HistorySource;
  readonly kind: string;
  readonly key: string;
  readonly action: 'created' | 'changed' | 'deleted';
  /** JSON paths of a change, the first few. */
  readonly paths: readonly string[];
  readonly by?: string;
  readonly file?: string;
  readonly line?: number;
}

export interface HistoryListing {
  /** Newest first. */
  readonly changes: readonly ListedChange[];
  /** There are older ones that fit the question. */
  readonly more: boolean;
  /** Changes of a status alone were among them, and were not wanted. */
  readonly statusesLeftOut: boolean;
  /** Where the history begins and ends. */
  readonly begins: { readonly revision: number; readonly at: number };
  readonly newest: { readonly revision: number; readonly at: number };
}

/** An object at two times; one may be absent. */
export interface ObjectPair {
  readonly kind: string;
  readonly key: string;
  readonly before?: ConfigObject;
  readonly after?: ConfigObject;
}

export interface Moment {
  readonly revision: number;
  /** ms since the epoch. */
  readonly at: number;
}

export interface HistoryDifference {
  readonly from: Moment;
  readonly to: Moment;
  /** In the order of kind and key. */
  readonly objects: readonly ObjectPair[];
}

export interface ObjectsAt {
  readonly moment: Moment;
  readonly objects: readonly ConfigObject[];
}
