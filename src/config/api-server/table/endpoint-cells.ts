import { getAt } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';

const shown = 3;

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function shorten(all: readonly string[]): string {
  if (all.length === 0) return '<none>';
  if (all.length <= shown) return all.join(',');
  return `${all.slice(0, shown).join(',')} + ${all.length - shown} more...`;
}

export function endpointsText(object: ConfigObject): string {
  const all = list(object.subsets).flatMap((subset) =>
    list(getAt(subset, 'addresses')).flatMap((address) => {
      const ip = String(getAt(address, 'ip'));
      const ports = list(getAt(subset, 'ports'));
      return ports.length === 0 ? [ip] : ports.map((port) => `${ip}:${getAt(port, 'port')}`);
    }),
  );
  return shorten(all);
}

export function slicePorts(object: ConfigObject): string {
  const ports = list(object.ports).map((port) => String(getAt(port, 'port') ?? '*'));
  return ports.length === 0 ? '<unset>' : shorten(ports);
}

export function sliceEndpoints(object: ConfigObject): string {
  const all = list(object.endpoints).flatMap((one) => list(getAt(one, 'addresses')).map(String));
  return all.length === 0 ? '<unset>' : shorten(all);
}
