import {
  demandOn,
  type MtlsMode,
  ownDemand,
  parseDemand,
} from '../features/security/peer-authentication/schema.ts';
import type { Model } from '../model/model.ts';
import type { SimulationResult } from '../simulate/call.ts';
import { inspect } from '../snapshot/rebuild.ts';
import type { DecidedBy } from './explanation.ts';
import type { Hop } from './hop.ts';
import { decidedBy } from './words.ts';

/** What a server demands of its callers on the port of a hop, and who says so. */
export interface DemandedTls {
  readonly mode: MtlsMode;
  readonly by: DecidedBy;
  /** `PeerAuthentication strict`, or the default of the mesh. */
  readonly who: string;
}

export function demandedTls(model: Model, { proxy, call }: Hop): DemandedTls {
  const demand = parseDemand(inspect(model.world, model.mesh, proxy, (view) => view.call(ownDemand)));
  // Ports of explicit listeners are allocated: policies name the service's.
  const known = proxy.explicit?.inbound.find(({ listen }) => listen === call.port);
  const { mode, origin } = demandOn(demand, known?.servicePort ?? call.port);
  const who =
    origin.kind === 'PeerAuthentication'
      ? `${origin.kind} ${origin.name}`
      : 'the default of the mesh: no PeerAuthentication says otherwise';
  return { mode, by: decidedBy(model, origin), who };
}

const refusals: ReadonlySet<SimulationResult['error']> = new Set([
  'invalid TLS',
  'invalid mTLS',
  'no filter chains matched',
]);

/** Whether a server does not take the connection for what it is, or is not, wrapped in. */
export function refusesConnection({ role }: Hop, { error }: SimulationResult): boolean {
  return role === 'server' && refusals.has(error);
}
