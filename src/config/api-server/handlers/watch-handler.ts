import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ConfigObject } from '../../object.ts';
import type { RequestContext, Target } from '../context.ts';
import type { ApiLimits } from '../limits.ts';
import { negotiate, type Representation } from '../request/negotiate.ts';
import type { ApiResponse } from '../request/respond.ts';
import { unknownPath } from '../status.ts';
import { toPartial } from '../table/table.ts';
import { type ObjectEncoder, planWatch, runWatch, type WatchSink } from '../watch/watch-stream.ts';
import { encodeObject, table } from './encode-objects.ts';
import { selectionOf } from './read-list.ts';

/** Streams one watch. Throws before anything is sent when the request is bad; later errors are events. */
export async function handleWatch(
  context: RequestContext,
  target: Target,
  response: ApiResponse,
): Promise<void> {
  if (context.info.resource?.inNamespace && !target.kind.namespaced) throw unknownPath();
  const accept = context.headers.accept;
  const representation = negotiate(Array.isArray(accept) ? accept.join(',') : accept);
  selectionOf(context, target);
  const plan = planWatch(context);
  const gone = new AbortController();
  const leave = () => gone.abort();
  response.once('close', leave);
  response.once('error', leave);
  response.statusCode = 200;
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-cache, private');
  (response as ServerResponse).flushHeaders();
  const sink: WatchSink = {
    signal: gone.signal,
    write: (text) => write(response, text, gone.signal, context.limits),
  };
  await runWatch(context, target, representation, encoderOf(context, target, representation), plan, sink);
  if (!gone.signal.aborted) response.end();
}

/**
 * Waits for a slow client once much is buffered for it; its events then queue in the store's watch, which is bounded. One that
 * takes nothing at all is cut off: it would keep what is buffered until its connection ends.
 */
async function write(
  response: ApiResponse,
  text: string,
  signal: AbortSignal,
  limits: Pick<ApiLimits, 'watchBufferedBytes' | 'watchStallMs'>,
): Promise<void> {
  if (signal.aborted) return;
  const flowing = (response as NodeJS.WritableStream).write(text);
  if (flowing || response.writableLength < limits.watchBufferedBytes) return;
  const stalled = AbortSignal.timeout(limits.watchStallMs);
  await once(response, 'drain', { signal: AbortSignal.any([signal, stalled]) }).catch(() => undefined);
  if (stalled.aborted) response.destroy();
}

function encoderOf(context: RequestContext, target: Target, representation: Representation): ObjectEncoder {
  switch (representation.form) {
    case 'object':
      return encodeObject;
    case 'table':
      return (object, first) => {
        const metadata =
          object.metadata.resourceVersion === undefined
            ? {}
            : { resourceVersion: object.metadata.resourceVersion };
        return JSON.stringify(table(context, target, [object], metadata, representation, first));
      };
    default:
      return (object: ConfigObject) => JSON.stringify(toPartial(object, representation.metaVersion));
  }
}
