import { isMap } from 'yaml';
import type { GatewayPort, MeshPort } from './mesh-file.ts';
import type { NodeReader } from './node-reader.ts';
import { type PortProtocol, portProtocols, unknownProtocol } from './port-protocols.ts';

/**
 * `ports` of a workload: `9080` (callers use 9080, the program listens on `PORT`), `"9080:3000"` (the program insists on 3000),
 * `"9080/grpc"`, or `{ name, target, published, protocol, app_protocol }`.
 */
export function parsePorts(reader: NodeReader, node: unknown): MeshPort[] | undefined {
  const items = reader.items(node, 'ports');
  if (!items) return undefined;
  const ports: MeshPort[] = [];
  for (const item of items) {
    const port = isMap(item) ? parseLong(reader, item) : parseShort(reader, item);
    if (!port) continue;
    const named = { ...port, name: port.name === '' ? nameOf(port, ports) : port.name };
    if (ports.some((other) => other.port === named.port))
      reader.problem(item, `port ${named.port} is listed twice; remove one`);
    else if (ports.some((other) => other.name === named.name))
      reader.problem(item, `the port name ${named.name} is used twice; give each its own`);
    else ports.push(named);
  }
  return ports;
}

/** The protocol for the first port of its kind, with the number for further ones. */
function nameOf(port: MeshPort, others: readonly MeshPort[]): string {
  return others.some(({ name }) => name === port.protocol) ? `${port.protocol}-${port.port}` : port.protocol;
}

function parseShort(reader: NodeReader, node: unknown): MeshPort | undefined {
  const text = reader.text(node, 'a port');
  if (text === undefined) return undefined;
  const match = /^(\d+)(?::(\d+))?(?:\/([a-z0-9-]+))?$/.exec(text);
  const port = Number(match?.[1]);
  const target = match?.[2] === undefined ? undefined : Number(match[2]);
  if (!match || !isPort(port) || (target !== undefined && !isPort(target))) {
    reader.problem(
      node,
      `${JSON.stringify(text)} is not a port: write 9080, "9080:3000" (the program insists on 3000) or "9080/grpc"`,
    );
    return undefined;
  }
  const protocol = match[3] === undefined ? 'http' : readProtocol(reader, node, match[3]);
  if (protocol === undefined) return undefined;
  return { name: '', port, protocol, ...(target === undefined ? {} : { target }) };
}

function readProtocol(reader: NodeReader, node: unknown, word: string | undefined): PortProtocol | undefined {
  const known = portProtocols.find((one) => one === word);
  if (known === undefined && word !== undefined) reader.problem(node, unknownProtocol(word));
  return known;
}

function parseLong(reader: NodeReader, node: unknown): MeshPort | undefined {
  const before = reader.problems.length;
  let name = '';
  let protocol: PortProtocol | undefined;
  let application: PortProtocol | undefined;
  let target: number | undefined;
  let published: number | undefined;
  for (const { key, keyNode, value } of reader.entries(node, 'a port') ?? []) {
    if (key === 'name') name = reader.label(value, 'the port name') ?? '';
    else if (key === 'target') target = reader.integer(value, 'target', 1, 65_535);
    else if (key === 'published' || key === 'port') published = reader.integer(value, key, 1, 65_535);
    else if (key === 'protocol') protocol = readProtocol(reader, value, reader.text(value, key));
    else if (key === 'app_protocol') application = readProtocol(reader, value, reader.text(value, key));
    else
      reader.problem(
        keyNode,
        `a port has the unknown key ${key}; known are name, target, published, protocol, app_protocol`,
      );
  }
  const port = published ?? target;
  if (port === undefined && reader.problems.length === before)
    reader.problem(node, 'a port needs published (the port that callers use)');
  if (port === undefined || reader.problems.length > before) return undefined;
  // Compose's short long form, `target: 9080` alone, does not pin the program: it takes the port given as PORT.
  const pinned = published !== undefined && target !== undefined;
  // Compose's `protocol: tcp` is what carries the other.
  const spoken = application ?? protocol ?? protocolOfName(name) ?? 'http';
  return { name, port, protocol: spoken, ...(pinned ? { target } : {}) } as MeshPort;
}

/** As Kubernetes' ports are read: `tcp`, `grpc-orders`. */
function protocolOfName(name: string): PortProtocol | undefined {
  return portProtocols
    .filter((one) => one !== 'auto' && (name === one || name.startsWith(`${one}-`)))
    .sort((a, b) => b.length - a.length)[0];
}

/** `ports` of a gateway: `8080` (a server's port, on an allocated port here), or `"18080:8080"` to choose the port here. */
export function parseGatewayPorts(reader: NodeReader, node: unknown): GatewayPort[] | undefined {
  return reader.items(node, 'ports')?.flatMap((item) => {
    const text = reader.text(item, 'a port') ?? '';
    const match = /^(?:(\d+):)?(\d+)$/.exec(text);
    const port = Number(match?.[2]);
    const published = match?.[1] === undefined ? undefined : Number(match[1]);
    if (!match || !isPort(port) || (published !== undefined && !isPort(published))) {
      reader.problem(
        item,
        `${JSON.stringify(text)} is not a gateway port: write 8080, or "18080:8080" to have it on port 18080 of this machine`,
      );
      return [];
    }
    return [{ name: gatewayPortName(port), port, ...(published === undefined ? {} : { published }) }];
  });
}

export function gatewayPortName(port: number): string {
  if (port === 80) return 'http2';
  if (port === 443) return 'https';
  return String(port).includes('443') ? `https-${port}` : `http-${port}`;
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65_535;
}
