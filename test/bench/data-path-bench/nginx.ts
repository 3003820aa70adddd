import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/kit/clock.ts';
import { waitFor } from '../../support/wait-for.ts';

export interface FastServer {
  readonly pid: number;
  stop(): Promise<void>;
}

/** What every request is answered with: 1 KiB, a small JSON answer's size. */
const body = 'x'.repeat(1024);

function configuration(port: number, collectorPort: number): string {
  const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  ${scratch.map((name) => `${name}_temp_path ${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    default_type text/plain;
    location / { return 200 "${body}"; }
  }
  # Where the long chain's spans go.
  server {
    listen 127.0.0.1:${collectorPort};
    location / { return 202; }
  }
}
`;
}

/** An nginx of our own with one worker, on loopback. The caller must `stop()` it. */
export async function startNginx(program: string, port: number, collectorPort: number): Promise<FastServer> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-nginx-'));
  const file = join(directory, 'nginx.conf');
  await writeFile(file, configuration(port, collectorPort));
  const errors = join(directory, 'startup.log');
  const child = spawn(program, ['-p', directory, '-e', errors, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-4_000);
  });
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const server: FastServer = {
    pid: child.pid as number,
    async stop() {
      child.kill('SIGTERM');
      await Promise.race([ended, systemClock.sleep(2_000, { unref: true })]);
      child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await waitFor('nginx to listen', () => {
      if (child.exitCode !== null) return false;
      return accepts(port);
    });
  } catch (error) {
    const more = await readFile(errors, 'utf8').catch(() => '');
    await server.stop();
    throw new Error(`${(error as Error).message}\n${more}${log}`);
  }
  return server;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
