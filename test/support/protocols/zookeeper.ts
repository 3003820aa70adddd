import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, type Stop, startServer } from './server-process.ts';

const programs = '/usr/share/zookeeper/bin';

/** Debian's `zookeeper`. */
export const zookeeperServer = join(programs, 'zkServer.sh');

/** A ZooKeeper of its own on loopback. */
export function startZooKeeper(port: number): Promise<Stop> {
  return startServer('zookeeper', {
    prepare: (directory) => {
      mkdirSync(join(directory, 'data'));
      writeFileSync(
        join(directory, 'zoo.cfg'),
        `tickTime=2000\ndataDir=${directory}/data\nclientPort=${port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n`,
      );
    },
    command: (directory) => [zookeeperServer, 'start-foreground', join(directory, 'zoo.cfg')],
    env: { JVMFLAGS: '-Xmx128m', ZOO_LOG_DIR: '/tmp' },
    ready: async () => ask(port, 'ls /'),
  });
}

/** What ZooKeeper's own client prints when it writes a node and reads it. */
export function useZooKeeper(port: number): string {
  ask(port, 'create /greeting hello-from-the-client');
  return ask(port, 'get /greeting');
}

function ask(port: number, command: string): string {
  const at = ['-server', `127.0.0.1:${port}`, '-timeout', '20000'];
  return run(join(programs, 'zkCli.sh'), at, { input: `${command}\nquit\n`, env: { JVMFLAGS: '-Xmx64m' } });
}
