import { existsSync, readdirSync } from 'node:fs';
import { socketPaths } from '../../agent/socket-paths.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';
import type { StatePaths } from '../state/state-directory.ts';

const maxBytes = 256 * 1024 * 1024;

/** Asks the admin interface of an Envoy on its unix socket. */
export function askEnvoy(
  socketPath: string,
  path: string,
  timeoutMs = 15_000,
  method: 'GET' | 'POST' = 'GET',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      { socketPath, path, method, signal: AbortSignal.timeout(timeoutMs), agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxBytes) response.destroy(new Error(`its answer is larger than ${maxBytes} bytes`));
          chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode === 200) resolve(text);
          else
            reject(
              new CodedError(
                'EnvoyRefused',
                `Envoy answers ${path} with ${response.statusCode}: ${text.trim()}`,
              ),
            );
        });
      },
    );
    outgoing.once('error', (error) =>
      reject(
        new CodedError(
          'EnvoyUnreachable',
          `Envoy does not answer on ${socketPath}: ${error.message}; is the mesh running? (ostria ps)`,
        ),
      ),
    );
    outgoing.end();
  });
}

/**
 * The admin socket of the workload that a user names as istioctl's users do: `reviews-v1-0`, `reviews-v1-0.default`, a workload
 * with one replica (`reviews-v1`), or a unique beginning. Throws `WorkloadUnknown`, listing what there is.
 */
export function findProxy(paths: StatePaths, name: string): { name: string; socket: string } {
  const known = existsSync(paths.workloads) ? readdirSync(paths.workloads).sort() : [];
  const bare = name.replace(/^pod\//, '').split('.')[0] ?? name;
  const exact = known.filter((candidate) => candidate === name || candidate === bare);
  const found =
    exact.length > 0
      ? exact
      : known.filter((candidate) => candidate.startsWith(`${bare}-`) || candidate.startsWith(bare));
  const [only] = found;
  if (only !== undefined && found.length === 1)
    return { name: only, socket: socketPaths(paths.workload(only)).admin };
  throw new CodedError(
    'WorkloadUnknown',
    found.length > 1
      ? `${name} can be ${found.join(', ')}; name one of them`
      : `there is no workload ${name} in this mesh; there are ${known.join(', ') || 'none'}`,
  );
}
