import type { ResourceSource } from '../snapshot/push.ts';
import type { Authenticate } from './authenticate.ts';
import type { DebugService } from './debug-stream.ts';
import type { Ledger } from './ledger.ts';
import type { XdsLimits } from './limits.ts';
import type { XdsMetrics } from './metrics.ts';
import type { ProxyRegistry } from './proxy-registry.ts';
import type { PushQueue } from './push-queue.ts';
import type { Views } from './views.ts';

/** The part of a pino logger that is used. */
export interface XdsLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/** What all streams of a server share. */
export interface StreamContext {
  readonly views: Views;
  readonly registry: ProxyRegistry;
  readonly queue: PushQueue;
  readonly ledger: Ledger;
  readonly limits: XdsLimits;
  readonly metrics: XdsMetrics;
  readonly authenticate: Authenticate;
  readonly log: XdsLog;
  /** See ResourceSource. */
  readonly demand: ResourceSource['demand'];
  /** Undefined: debug types are not served. */
  readonly debug: DebugService | undefined;
}
