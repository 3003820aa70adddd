import type { ConfigObject } from '../object.ts';
import type { ObjectPositions } from '../source-map.ts';

/** One object that came, changed or went. `object` absent: it is gone. */
export interface ConfigChange {
  /** API group and kind, e.g. `networking.istio.io` and `VirtualService`. */
  group: string;
  kind: string;
  /** `namespace/name`. */
  key: string;
  object?: ConfigObject;
  /** Where the object's fields stand in files, where it came from files. */
  positions?: ObjectPositions;
}

/** A set of changes that takes effect as one. */
export interface ConfigBatch {
  /** The source's revision after this batch. */
  revision: number;
  changes: readonly ConfigChange[];
  /** The first batch of a source holds its whole content. */
  initial: boolean;
}

export interface ConfigSource {
  readonly name: string;
  /** Delivers the whole content first, then changes in order, until `signal` aborts. Resolves once the initial batch was delivered. */
  start(sink: (batch: ConfigBatch) => void, signal: AbortSignal): Promise<void>;
}
