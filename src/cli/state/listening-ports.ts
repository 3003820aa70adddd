import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';

/** Who listens on a port. */
export interface PortOwner {
  /** Absent where another user's process hides it. */
  readonly pid?: number;
  /** The command line, shortened. */
  readonly command?: string;
}

const listenState = '0A';
/** Local addresses, in /proc's byte order, that keep a loopback address from being bound: those themselves and the wildcards. */
const blocking = new Set([
  '0100007F',
  '00000000',
  '00000000000000000000000000000000',
  '0000000000000000FFFF00000100007F',
  '00000000000000000000000001000000',
]);

/** TCP ports that cannot be bound on a loopback address, with the inode of the listening socket (proc_net_tcp.rst). Linux only: else undefined. */
export function listeningPorts(): Map<number, string> | undefined {
  const ports = new Map<number, string>();
  let readable = false;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string;
    try {
      text = readFileSync(file, 'latin1');
    } catch {
      continue;
    }
    readable = true;
    for (const line of text.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      const [address = '', port = ''] = (fields[1] ?? '').split(':');
      if (fields[3] === listenState && blocking.has(address))
        ports.set(Number.parseInt(port, 16), fields[9] ?? '');
    }
  }
  return readable ? ports : undefined;
}

/** Whether 127.0.0.1:port cannot be bound now. */
export async function isPortTaken(port: number, ports = listeningPorts()): Promise<boolean> {
  if (ports) return ports.has(port);
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(false)));
  });
}

/** Who listens on the port, as far as this user may see it. */
export function portOwner(port: number): PortOwner {
  const inode = listeningPorts()?.get(port);
  if (inode === undefined) return {};
  const link = `socket:[${inode}]`;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      for (const descriptor of readdirSync(`/proc/${name}/fd`))
        if (readlinkSync(`/proc/${name}/fd/${descriptor}`) === link)
          return { pid: Number(name), command: commandOf(Number(name)) };
    } catch {
      // Gone meanwhile, or another user's.
    }
  }
  return {};
}

/** A process's command line, the program without its directory, at most 80 characters. */
export function commandOf(pid: number): string {
  try {
    const [program = '', ...rest] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    const line = [basename(program), ...rest].join(' ');
    return line.length > 80 ? `${line.slice(0, 79)}…` : line;
  } catch {
    return '';
  }
}
