import type { AuthorityRing } from '../ca/authority-ring.ts';
import { pemBlocks } from '../ca/pem.ts';
import type { SystemPath } from '../config/api-server/handlers/system-paths.ts';
import { ApiError } from '../config/api-server/status.ts';
import type { KindRegistry } from '../config/kind.ts';
import { CodedError } from '../kit/coded-error.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import type { Ledger } from '../xds/ledger.ts';
import { DebugError, type DebugPages, findPage } from './debug/debug-page.ts';
import { scopeOfUser } from './debug/pod-connections.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { MeshState } from './mesh-state.ts';
import { positionsOf } from './positions.ts';
import { writeSpiffeBundle } from './trust/spiffe-bundle.ts';

/** How often others should look at our roots: a rotation takes longer. */
const bundleRefreshSeconds = 300;
/** Longest wait for proxies to acknowledge, in ms. */
const maxWaitMs = 60_000;

/** What the authenticated API tells of the running mesh. */
export function debugPaths(parts: {
  ledger: Ledger;
  engine: Engine;
  state: MeshState;
  delivery: Delivery;
  ring: AuthorityRing | undefined;
  pages: DebugPages;
  kinds: KindRegistry;
  /** Hosts that the control plane's servers listen on, by server. */
  listeners: Readonly<Record<string, string>>;
}): Readonly<Record<string, SystemPath>> {
  const { ledger, engine, state, delivery, ring, pages, kinds } = parts;
  return {
    ...istioPages(pages, state),
    '/debug/revision': () => ({ taken: state.revision, pushed: engine.revision }),
    /** `?timeout=MS`: waits until every connected proxy has answered all that the mesh has taken so far. */
    '/debug/wait': (query) =>
      ledger.waitFor(state.revision, {
        timeoutMs: Math.min(maxWaitMs, Math.max(0, Number(query.get('timeout') ?? 10_000) || 0)),
      }),
    /**
     * `?first=RV&last=RV[&timeout=MS]`: how far the changes of these resourceVersions have come; waits at most so long until every
     * proxy concerned has answered.
     */
    '/debug/delivery': (query) => {
      const last = revisionIn(query, 'last');
      return delivery.report({
        first: query.has('first') ? revisionIn(query, 'first') : last,
        last,
        waitMs: Math.min(maxWaitMs, Math.max(0, Number(query.get('timeout') ?? 0) || 0)),
      });
    },
    /** Every connected proxy, as its node describes it. */
    '/debug/proxies': () => [...engine.proxies.values()],
    '/debug/compile': () => ({ ...engine.stats(), failures: engine.failures().map(failureOf) }),
    /** The mesh's settings in force, and those that are set and not acted on. */
    '/debug/mesh-config': () => ({ inForce: state.mesh, notActedOn: state.uncovered }),
    ...(ring
      ? {
          '/debug/ca': () => ring.status(),
          /** What others need to trust our workloads: PEM, and the document of a SPIFFE bundle endpoint. */
          '/debug/ca/bundle': () => ({
            pem: ring.root,
            spiffe: writeSpiffeBundle(pemBlocks(ring.root), bundleRefreshSeconds),
          }),
        }
      : {}),
    '/debug/listeners': () => parts.listeners,
    '/debug/conflicts': () => state.merge.conflicts(),
    /** `?origin=ID`, repeatable: where it stands in the files that the control plane reads itself. */
    '/debug/positions': (query) => positionsOf(kinds, state.merge, query.getAll('origin')),
  };
}

function revisionIn(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? '';
  if (!/^\d{1,15}$/.test(text))
    throw new CodedError('RequestInvalid', `${name} must be a resourceVersion, as ?last=1234`);
  return Number(text);
}

const reasons: Readonly<Record<number, string>> = { 403: 'Forbidden', 404: 'NotFound' };

/** Istio's pages. A service account that may read them at all sees its own namespace in them. */
function istioPages(pages: DebugPages, state: MeshState): Record<string, SystemPath> {
  return Object.fromEntries(
    [...pages.keys()].map((name) => [
      `/debug/${name}`,
      (query, user) => {
        const scope = scopeOfUser(user, state.mesh.rootNamespace);
        try {
          return findPage(pages, name, scope).answer(query, scope);
        } catch (error) {
          if (!(error instanceof DebugError)) throw error;
          throw new ApiError(error.status, reasons[error.status] ?? 'BadRequest', error.message);
        }
      },
    ]),
  );
}

/** What the authenticated API does when it is told to. */
export function controlActions(
  ring: AuthorityRing | undefined,
): Readonly<Record<string, (query: URLSearchParams) => unknown>> {
  if (!ring) return {};
  return {
    /** `?hurry=true`: goes on without those that a rotation waits for. */
    '/debug/ca/rotate': async (query) => {
      if (query.get('hurry') === 'true') ring.hurry();
      else await ring.rotate();
      return ring.status();
    },
  };
}

function failureOf(failure: ReturnType<Engine['failures']>[number]) {
  return {
    query: failure.query,
    args: failure.args,
    error: failure.error instanceof Error ? failure.error.message : String(failure.error),
    proxies: [...failure.proxies],
  };
}
