import { CodedError } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';

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
