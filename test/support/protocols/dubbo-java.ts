import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, type Stop, startServer } from './server-process.ts';

/** Apache Dubbo's own provider and consumer, out of a directory of jars. It listens on every address: it binds to no loopback one. */
export interface DubboJava {
  start(port: number): Promise<Stop>;
  /** Makes that many calls, the last of which throws an exception; the exception's words as the consumer got them. */
  call(port: number, count: number): string;
}

export function dubboJava(jars: string): DubboJava {
  const program = join(import.meta.dirname, 'dubbo', 'DubboEcho.java');
  const java = (...options: string[]) => ['-Xmx128m', ...options, '-cp', `${jars}/*`, program];
  return {
    start: (port) =>
      startServer('dubbo', {
        command: () => ['java', ...java(), 'serve', String(port)],
        ready: () =>
          new Promise((resolve, reject) =>
            connect(port, '127.0.0.1', () => resolve(true))
              .on('error', reject)
              .end(),
          ),
      }),
    call(port, count) {
      const directory = mkdtempSync(join(tmpdir(), 'ostria-dubbo-'));
      try {
        const hosts = join(directory, 'hosts');
        writeFileSync(hosts, '127.0.0.1 sidecar\n');
        const options = java(`-Djdk.net.hosts.file=${hosts}`);
        const said = run('java', [...options, 'call', `sidecar:${port}`, String(count)]);
        return said.trimEnd().split('\n').at(-1) ?? '';
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}
