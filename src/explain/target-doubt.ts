import { parseIp } from '../kit/ip.ts';
import type { Model } from '../model/model.ts';
import { allServices, serviceKind, servicesByHost } from '../snapshot/kinds.ts';
import type { Caller } from './caller.ts';
import type { Leaf } from './leaf.ts';
import { suggest } from './suggest.ts';
import { somewhere, type Target, type TargetUrl } from './target.ts';
import { listed } from './words.ts';

/** Why it is not sure that anything answers where a request goes. */
export interface Doubt {
  /** What nothing in the mesh declares. */
  readonly reason: string;
  /** What is taken for granted where the question is about something else. */
  readonly assumption: string;
}

/** A host or port that nothing in the mesh declares: mostly it is a slip of the pen. */
export function targetDoubt(
  model: Model,
  caller: Caller,
  url: TargetUrl,
  { service, looked }: Target,
): Doubt | undefined {
  if (caller.outside || caller.at.proxy?.type === 'router') return undefined;
  if (!service) return undeclaredHost(model, url.host, looked);
  if (looked !== 'service') return undefined;
  const ports = portsOf(model, service.hostname);
  if (ports.includes(url.port)) return undefined;
  const reason = `${service.hostname} declares ${ports.length === 1 ? 'port' : 'ports'} ${listed(ports.map(String), 'and')}, not ${url.port}`;
  return { reason, assumption: `${reason}: something is taken to answer there` };
}

function undeclaredHost(model: Model, host: string, looked: Target['looked']): Doubt | undefined {
  if (looked === 'address' || parseIp(host)) {
    const reason = `no service of the mesh has the address ${host}`;
    return { reason, assumption: `${reason}: something is taken to answer there` };
  }
  const known = model.world.list(allServices, '').map((key) => key.slice(key.indexOf('/') + 1));
  if (known.some((one) => one.startsWith('*') && host.endsWith(one.slice(1)))) return undefined;
  const alike = suggest(host, host.includes('.') ? known : known.map((one) => one.split('.')[0] ?? one));
  const meant = alike.length > 0 ? ` (did you mean ${listed(alike)}?)` : '';
  const reason = `no service of the mesh is called ${host}${meant}`;
  return { reason, assumption: `${reason}: DNS is taken to know it, as ${somewhere}` };
}

/** Entries may add ports to those of another one. */
function portsOf({ world }: Model, hostname: string): number[] {
  const ports = world
    .list(servicesByHost, hostname)
    .flatMap((key) => world.get(serviceKind, key)?.ports.map(({ port }) => port) ?? []);
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Ways that leave the mesh for what is doubted end where nothing is known; a route may lead elsewhere, to what is declared. */
export function unsettled(leaves: readonly Leaf[], { reason }: Doubt): Leaf[] {
  return leaves.map((leaf) =>
    leaf.end.outcome === 'delivered' && leaf.workload === undefined && !isDeclared(leaf)
      ? { ...leaf, end: { outcome: 'unknown', reason, flags: [] } }
      : leaf,
  );
}

/** Clusters of services are named so; those for whatever is asked for are not. */
function isDeclared({ cluster }: Leaf): boolean {
  return cluster.startsWith('outbound|');
}
