import { identityOf } from '../explain/hop.ts';
import { suggest } from '../explain/suggest.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { workloadName, workloadNames } from '../request-space/workload-name.ts';
import type { CallerPattern, CallerTerm } from './claim.ts';

/** Somebody as a server's sidecar sees it. */
export interface Caller {
  readonly kind: 'workload' | 'outside' | 'plaintext';
  /** Whose proxy makes the connection; absent: nobody knows. */
  readonly at?: ModelWorkload;
  /** What it proves. */
  readonly identity?: string;
  readonly address: string;
}

/** Reserved for documentation (RFC 5737): some address that nothing of the mesh has. */
export const unknownAddress = '203.0.113.7';

/** Everybody of the mesh who can call a server, clients outside by each gateway, and whoever has no identity. */
export function callersOf(model: Model, pattern: CallerPattern): Caller[] {
  const all: Caller[] = [{ kind: 'plaintext', address: unknownAddress }];
  for (const at of model.workloads.values()) {
    if (!at.proxy) continue;
    const own = {
      at,
      identity: identityOf(model.mesh.trustDomain, at),
      address: at.workload.addresses[0] ?? '',
    };
    if (at.proxy.type === 'router') all.push({ kind: 'outside', ...own });
    all.push({ kind: 'workload', ...own });
  }
  return all.filter(
    (caller) =>
      pattern.any.some((term) => takes(term, caller)) && !pattern.except.some((term) => takes(term, caller)),
  );
}

function takes(term: CallerTerm, { kind, at }: Caller): boolean {
  if (term.kind === 'anyone') return true;
  if (term.kind === 'outside' || term.kind === 'plaintext') return kind === term.kind;
  if (kind !== 'workload' || !at || at.workload.namespace !== term.namespace) return false;
  if (term.kind === 'namespace') return true;
  if (term.kind === 'account') return (at.workload.serviceAccount || 'default') === term.name;
  return workloadNames(at.workload).includes(`${term.name}.${term.namespace}`);
}

/** What is wrong with the names of a claim's callers: a slip there would prove what nobody asked. */
export function unknownCaller(model: Model, { any, except }: CallerPattern): string | undefined {
  const workloads = [...model.workloads.values()];
  for (const term of [...any, ...except]) {
    if (term.kind === 'anyone' || term.kind === 'outside' || term.kind === 'plaintext') continue;
    if (workloads.some((at) => takes(term, { kind: 'workload', at, address: '' }))) continue;
    if (term.kind === 'namespace') return `there is no workload in namespace ${term.namespace}`;
    const wanted = `${term.name}.${term.namespace}`;
    const known = workloads.map(({ workload }) =>
      term.kind === 'account'
        ? `${workload.serviceAccount || 'default'}.${workload.namespace}`
        : workloadName(workload),
    );
    const near = suggest(wanted, known);
    const meant = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
    return `there is no ${term.kind === 'account' ? 'workload of account' : 'workload'} ${wanted}${meant}`;
  }
  return undefined;
}
