import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../wait-for.ts';

/** A Redis of its own on loopback, in memory only. */
export async function startRedis(port: number): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-redis-'));
  const child: ChildProcess = spawn(
    'redis-server',
    [...['--port', String(port), '--bind', '127.0.0.1'], ...['--save', '', '--dir', directory]],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await waitFor('redis to answer', () =>
    callRedis(port, ['PING']).then(
      ([answer]) => answer === '+PONG',
      () => false,
    ),
  );
  return async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
}

/** Sends commands on one connection (RESP); resolves with the first line of each simple answer, or the value of a string. */
export function callRedis(port: number, ...commands: readonly (readonly string[])[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const wire = commands.map(
      (words) =>
        `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
    );
    const socket = connect(port, '127.0.0.1', () => socket.write(wire.join('')));
    let got = '';
    socket.setTimeout(30_000, () => socket.destroy(new Error(`no answer within 30 s: ${got}`)));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(got)}`)));
    socket.on('data', (data) => {
      got += data.toString();
      const answers = got.match(/\$\d+\r\n[^\r]*\r\n|[+:-][^\r]*\r\n/g) ?? [];
      if (answers.length < commands.length) return;
      resolve(answers.map((answer) => answer.replace(/^\$\d+\r\n/, '').trimEnd()));
      socket.destroy();
    });
  });
}
