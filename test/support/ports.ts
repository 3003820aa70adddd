import { createServer } from 'node:net';
import { takeNumber } from './machine-lock.ts';

/**
 * Where the ports of tests lie: below those that systems give to outgoing connections, so that nothing takes one between the moment
 * when it is handed out and that when its program listens. A process takes whole blocks, and hands no port out twice. (Above 10,080,
 * which `fetch` refuses to call.)
 */
const blockSize = 100;
const blocks = Array.from({ length: 99 }, (_, index) => 10_100 + index * blockSize);
let left: number[] = [];

/** A loopback TCP port that is free, and that no other test of this machine gets. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = left.shift();
    if (port === undefined) left = takeBlock();
    else if (await isFree(port)) return port;
  }
}

/** That many distinct loopback TCP ports, as `freePort` finds them. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

function takeBlock(): number[] {
  const start = takeNumber('port-block', blocks);
  if (start === undefined) throw new Error(`no block of ports is free: ${blocks.length} processes have one`);
  return Array.from({ length: blockSize }, (_, index) => start + index);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
