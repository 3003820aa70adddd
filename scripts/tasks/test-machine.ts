import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { runNode } from './task.ts';

/** A Debian package that some tests need, and the program by which its presence is known. */
interface DebianPackage {
  readonly name: string;
  readonly program: string;
  readonly usedBy: string;
}

const packages: readonly DebianPackage[] = [
  { name: 'etcd-server', program: 'etcd', usedBy: 'the store’s contract tests on etcd' },
  { name: 'kubernetes-client', program: 'kubectl', usedBy: 'the API tests with real kubectl' },
  { name: 'redis-server', program: 'redis-server', usedBy: 'the Redis filter’s tests' },
  { name: 'wrk', program: 'wrk', usedBy: 'tests under load' },
  { name: 'nftables', program: 'nft', usedBy: 'the tests of captured traffic in network namespaces' },
  { name: 'iproute2', program: 'ip', usedBy: 'likewise' },
];

/** Needed by the tests of `npm run nightly` alone. */
export const nightlyPackages: readonly DebianPackage[] = [
  {
    name: 'zookeeper',
    program: '/usr/share/zookeeper/bin/zkServer.sh',
    usedBy: 'the ZooKeeper filter’s test',
  },
  { name: 'mariadb-server', program: 'mariadbd', usedBy: 'the test of servers that speak first' },
  { name: 'postgresql', program: 'psql', usedBy: 'the test of PostgreSQL through sidecars' },
  { name: 'golang-go', program: 'go', usedBy: 'the tests with FerretDB and Kafka, which are built' },
  { name: 'default-jdk-headless', program: 'javac', usedBy: 'the test with Apache Dubbo' },
  { name: 'maven', program: 'mvn', usedBy: 'the test with Apache Dubbo' },
];

export const benchPackages: readonly DebianPackage[] = [
  { name: 'wrk', program: 'wrk', usedBy: 'bench:data-path' },
  { name: 'nghttp2-client', program: 'h2load', usedBy: 'bench:data-path' },
  { name: 'nginx-light', program: 'nginx', usedBy: 'bench:data-path' },
];

/** Whether a program is on PATH (Debian's sbin directories included), or at an absolute path. */
export function hasProgram(name: string, path = process.env.PATH ?? ''): boolean {
  const directories = name.startsWith('/') ? ['/'] : [...path.split(':'), '/usr/sbin', '/usr/local/sbin'];
  return directories.some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return directory !== '';
    } catch {
      return false;
    }
  });
}

/**
 * Installs what is absent where we may (root, apt-get); elsewhere names what the tests will skip. Never fails: a test that
 * needs an absent program skips by name.
 */
export function installPackages(wanted: readonly DebianPackage[]): void {
  const absent = wanted.filter(({ program }) => !hasProgram(program));
  if (absent.length === 0) return;
  if (process.getuid?.() === 0 && hasProgram('apt-get')) {
    const names = absent.map(({ name }) => name);
    process.stderr.write(`Installing ${names.join(', ')}\n`);
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const install = (args: readonly string[]) =>
      spawnSync('apt-get', ['-qq', '-y', '--no-install-recommends', ...args], {
        env: environment,
        stdio: ['ignore', 'ignore', 'ignore'],
      }).status === 0;
    if (!install(['install', ...names])) {
      install(['update']);
      // One by one: a name that this release lacks must not take the others along.
      for (const name of names) install(['install', name]);
    }
  }
  for (const { name, program, usedBy } of absent)
    if (!hasProgram(program))
      process.stderr.write(`skipped: ${usedBy}: ${program} is absent (as root: apt-get install ${name})\n`);
}

/** Brings what the tests need: Debian packages, and Envoy into the user's cache. */
export async function setUpTestMachine(root: string): Promise<void> {
  installPackages(packages);
  const code = await runNode(root, 'src/agent/envoy-binary.ts', []);
  if (code !== 0) process.stderr.write('skipped: tests with real Envoy, for the reason above\n');
}
