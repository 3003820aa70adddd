/** Every bound of the API server, in one place. Sizes in bytes, times in milliseconds unless said otherwise. */
export interface ApiLimits {
  /** Largest request body. Default 3 MiB, as the Kubernetes API server has it. */
  bodyBytes: number;
  /** Largest object as stored, in JSON. Default 1.5 MiB, etcd's own bound on a request. */
  objectBytes: number;
  /** Deepest nesting of a body. Default 128. */
  depth: number;
  /** Values that one YAML document may hold once its anchors are expanded. Default 1,000,000. */
  yamlValues: number;
  /** Characters that the aliases of a YAML document may add by repetition. Default 1.5 MiB: no object may have more. */
  yamlAliasCharacters: number;
  /** Parsing a YAML body must take no longer than this. Default 20 s. */
  yamlMs: number;
  /** Operations of one JSON patch. Default 10,000. */
  jsonPatchOperations: number;
  /** Values that a JSON patch may copy in all (`copy` doubles what it copies). Default 200,000. */
  jsonPatchCopiedValues: number;
  /** Requests under way that are not watches. Default 400. */
  requests: number;
  /** Of these, per user. Default 200. */
  requestsPerUser: number;
  /** Watches of one user. Default 1,000. */
  watchesPerUser: number;
  /** Watches in all. Default 5,000. */
  watches: number;
  /** Events that may wait for a slow watcher before its watch is ended. Default 10,000. */
  watchQueue: number;
  /** Bytes that may wait in the socket of a slow watcher before reading its events pauses. Default 1 MiB. */
  watchBufferedBytes: number;
  /** A watcher that takes nothing for this long, though something waits for it, is cut off. Default 60 s. */
  watchStallMs: number;
  /** All headers of a request. Default 32 KiB. */
  headerBytes: number;
  /** Longest request path with its query. Default 16 KiB. */
  urlBytes: number;
  /** A request that is not a watch must be answered within this. Default 60 s. */
  requestMs: number;
  /** The body of a request must arrive within this. Default 30 s. */
  bodyMs: number;
  /** A TLS handshake must finish within this. Default 10 s. */
  handshakeMs: number;
  /** A connection without a request is closed after this. Default 5 min. */
  idleMs: number;
  /** Streams that one HTTP/2 connection may have open. Default 1,000. */
  streamsPerConnection: number;
  /** Connections. Default 4,000. */
  connections: number;
  /** A watch lasts between this and twice this, when the client asks for no other bound. Default 30 min. */
  watchMs: number;
  /** Bookmarks are sent this often. Default 60 s. */
  bookmarkMs: number;
  /** How long a read waits for a revision that is not there yet. Default 3 s. */
  revisionWaitMs: number;
  /** Objects read at a time when a list is filtered or has no limit. Default 500. */
  pageSize: number;
  /** Attempts of a write without a resourceVersion when others write the same object. Default 20. */
  writeAttempts: number;
  /** Annotations of one object, keys and values. Default 256 KiB, as Kubernetes has it. */
  annotationBytes: number;
  /** `Update` entries of managedFields; the oldest are merged beyond it. Default 10, as Kubernetes has it. */
  updateManagers: number;
  /** Events are kept this long after they were last seen. Default 1 h, as Kubernetes has it. */
  eventTtlMs: number;
  /** Complaints listed in one answer. Default 100. */
  causes: number;
  /** Warnings in one answer. Default 32. */
  warnings: number;
}

const MIB = 1024 * 1024;

export const defaultLimits: ApiLimits = {
  bodyBytes: 3 * MIB,
  objectBytes: 1.5 * MIB,
  depth: 128,
  yamlValues: 1_000_000,
  yamlAliasCharacters: 1.5 * MIB,
  yamlMs: 20_000,
  jsonPatchOperations: 10_000,
  jsonPatchCopiedValues: 200_000,
  requests: 400,
  requestsPerUser: 200,
  watchesPerUser: 1_000,
  watches: 5_000,
  watchQueue: 10_000,
  watchBufferedBytes: 1 * MIB,
  watchStallMs: 60_000,
  headerBytes: 32 * 1024,
  urlBytes: 16 * 1024,
  requestMs: 60_000,
  bodyMs: 30_000,
  handshakeMs: 10_000,
  idleMs: 300_000,
  streamsPerConnection: 1_000,
  connections: 4_000,
  watchMs: 1_800_000,
  bookmarkMs: 60_000,
  revisionWaitMs: 3_000,
  pageSize: 500,
  writeAttempts: 20,
  annotationBytes: 256 * 1024,
  updateManagers: 10,
  eventTtlMs: 3_600_000,
  causes: 100,
  warnings: 32,
};
