import type { SystemAction } from '../../config/api-server/handlers/system-paths.ts';
import type { ConfigObject } from '../../config/object.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { Rollouts } from './rollouts.ts';

/** Longest that an answer waits for proxies, ms. */
const maxWaitMs = 10_000;

/**
 * Tries a change on some proxies. Who may POST here configures the mesh: the objects are checked as at admission, and rights on them are not
 * looked at (`ostria apply --canary` has the API check them first).
 */
export function rolloutActions(rollouts: Rollouts): Readonly<Record<string, SystemAction>> {
  return {
    /**
     * Body: `{"objects": […], "removed": [{apiVersion, kind, metadata}], "share": 0.1, "first": ["reviews-v1-0.default"]}`; `first`: who is to try it before
     * others. All but the share may be absent.
     */
    '/debug/rollout': async (_query, body) => {
      const given = ((await body()) ?? {}) as Readonly<Record<string, unknown>>;
      const { objects = [], removed = [], first = [], share } = given;
      for (const [name, value] of Object.entries({ objects, removed, first }))
        if (!Array.isArray(value)) throw invalid(`${name} must be a list`);
      return rollouts.start(
        { objects: objects as ConfigObject[], removed: removed as ConfigObject[] },
        shareOf(share),
        (first as unknown[]).map(String),
      );
    },
    /** `?id=&share=`: takes more in. */
    '/debug/rollout/step': (query) => rollouts.step(idOf(query), shareOf(Number(query.get('share')))),
    /** `?id=[&timeout=MS]`: how far it has come. A rollout that nobody asks about for 20 s is ended. */
    '/debug/rollout/report': (query) =>
      rollouts.report(idOf(query), Math.min(maxWaitMs, Math.max(0, Number(query.get('timeout') ?? 0) || 0))),
    /** `?id=[&after=RV]`: everybody sees what is in force; `after`: once this resourceVersion is. */
    '/debug/rollout/end': (query) => {
      const after = query.get('after');
      return rollouts.end(idOf(query), after === null ? undefined : Number(after) || 0);
    },
  };
}

function idOf(query: URLSearchParams): string {
  return query.get('id') ?? '';
}

function shareOf(value: unknown): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value;
  throw invalid('share must be a number above 0 and at most 1');
}

function invalid(message: string): CodedError {
  return new CodedError('RequestInvalid', message);
}
