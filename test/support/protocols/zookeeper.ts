import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../wait-for.ts';

/** Debian's `zookeeper`. */
export const zookeeperServer = '/usr/share/zookeeper/bin/zkServer.sh';

/** A ZooKeeper of its own on loopback. */
export async function startZooKeeper(port: number): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-zookeeper-'));
  const data = join(directory, 'data');
  mkdirSync(data);
  writeFileSync(
    join(directory, 'zoo.cfg'),
    `tickTime=2000\ndataDir=${data}\nclientPort=${port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n`,
  );
  const child = spawn(zookeeperServer, ['start-foreground', join(directory, 'zoo.cfg')], {
    stdio: 'ignore',
    env: { ...process.env, ZOO_LOG_DIR: directory, ZOOCFGDIR: directory, JVMFLAGS: '-Xmx128m' },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await waitFor(
      'ZooKeeper to answer',
      () =>
        openSession(port).then(
          () => true,
          () => false,
        ),
      {
        timeoutMs: 60_000,
      },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function framed(body: Buffer): Buffer {
  return Buffer.concat([int32(body.length), body]);
}

/**
 * The first words of a client: it asks for a session (protocol 0, last zxid, timeout, session, password) and, when it has one, for the
 * children of `/`. Resolves with the length of the session's time in ms. https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html
 */
export function openSession(port: number): Promise<number> {
  const ask = Buffer.concat([
    int32(0),
    Buffer.alloc(8),
    int32(6_000),
    Buffer.alloc(8),
    int32(16),
    Buffer.alloc(16),
  ]);
  // Transaction 1, getChildren (8), the path, no watch.
  const children = Buffer.concat([int32(1), int32(8), int32(1), Buffer.from('/'), Buffer.from([0])]);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(framed(ask)));
    let got: Buffer = Buffer.alloc(0);
    let session = 0;
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer within 30 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (data: Buffer) => {
      got = Buffer.concat([got, data]);
      while (got.length >= 4 && got.length >= 4 + got.readInt32BE(0)) {
        const body = got.subarray(4, 4 + got.readInt32BE(0));
        got = got.subarray(4 + body.length);
        if (session === 0) {
          session = body.readInt32BE(4);
          socket.write(framed(children));
        } else {
          resolve(session);
          socket.destroy();
        }
      }
    });
  });
}
