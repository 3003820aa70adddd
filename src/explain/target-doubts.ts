import type { Model } from '../model/model.ts';
import { allServices } from '../snapshot/kinds.ts';
import type { Caller } from './caller.ts';
import { suggest } from './suggest.ts';
import { somewhere, type Target, type TargetUrl } from './target.ts';
import { listed } from './words.ts';

/** What is taken for granted of a host or port that nothing in the mesh declares: mostly it is a slip of the pen. */
export function targetDoubts(model: Model, caller: Caller, url: TargetUrl, target: Target): string[] {
  if (caller.outside || caller.at.proxy?.type === 'router') return [];
  const { service, looked } = target;
  if (looked === 'outside') {
    const known = model.world.list(allServices, '').map((key) => key.slice(key.indexOf('/') + 1));
    const names = url.host.includes('.') ? known : known.map((host) => host.split('.')[0] ?? host);
    const alike = suggest(url.host, names);
    const meant = alike.length > 0 ? ` (did you mean ${listed(alike)}?)` : '';
    return [`no service of the mesh is called ${url.host}${meant}: DNS is taken to know it, as ${somewhere}`];
  }
  // Entries may add ports to those of another one.
  if (looked !== 'service' || service?.source !== 'kubernetes') return [];
  const ports = service.ports.map(({ port }) => port);
  if (ports.includes(url.port)) return [];
  return [
    `${service.hostname} declares ${ports.length === 1 ? 'port' : 'ports'} ${listed(ports.map(String), 'and')}, not ${url.port}: something is taken to answer there`,
  ];
}
