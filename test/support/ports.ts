import { loopbackPorts } from '../../src/cli/mesh-tests/on-envoy/loopback-ports.ts';

/** A loopback TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const [port] = await loopbackPorts(1);
  return port as number;
}

/** That many distinct loopback TCP ports, all free a moment ago. */
export const freePorts: (count: number) => Promise<number[]> = loopbackPorts;
