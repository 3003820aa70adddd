import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram } from '../../../scripts/tasks/test-machine.ts';
import { opensslCertificate } from '../authority.ts';
import { run, type Stop, startServer } from './server-process.ts';

/*
 * Real databases of Debian, each with its own client: started on loopback, in a directory that goes with them.
 */

const root = process.getuid?.() === 0;

/** Debian's `mariadb-server`. */
export const hasMariaDb = hasProgram('mariadbd') && hasProgram('mariadb-install-db');

/** Its `root` has no password. */
export function startMariaDb(port: number): Promise<Stop> {
  const own = ['--no-defaults', ...(root ? ['--user=root'] : [])];
  return startServer('mariadb', {
    prepare: (directory) =>
      void run('mariadb-install-db', [
        ...own,
        `--datadir=${join(directory, 'data')}`,
        ...['--auth-root-authentication-method=normal', '--skip-test-db'],
      ]),
    command: (directory) => [
      'mariadbd',
      ...own,
      `--datadir=${join(directory, 'data')}`,
      `--socket=${join(directory, 'socket')}`,
      `--pid-file=${join(directory, 'pid')}`,
      ...['--bind-address=127.0.0.1', `--port=${port}`, '--skip-log-bin'],
    ],
    ready: async () => askMariaDb(port, 'select 1'),
  });
}

/** What MariaDB's client prints for a statement. */
export function askMariaDb(port: number, statement: string): string {
  const at = ['-h', '127.0.0.1', '-P', String(port), '-u', 'root', '--protocol=tcp'];
  return run('mariadb', ['--no-defaults', ...at, '--connect-timeout=20', '-N', '-B'], {
    input: statement,
  }).trim();
}

function postgresPrograms(): string | undefined {
  try {
    const parent = '/usr/lib/postgresql';
    return readdirSync(parent)
      .map((version) => join(parent, version, 'bin'))
      .find((directory) => hasProgram(join(directory, 'initdb')) && hasProgram(join(directory, 'psql')));
  } catch {
    return undefined;
  }
}

const postgres = postgresPrograms();
/** Debian's `postgresql`. */
export const hasPostgres = postgres !== undefined;

/** Everybody is let in, with and without TLS. */
export function startPostgres(port: number): Promise<Stop> {
  const programs = postgres ?? '';
  const user = 'postgres';
  return startServer('postgres', {
    user,
    prepare: (directory) => {
      const [data, certificate, key] = ['data', 'own.pem', 'own.key'].map((name) => join(directory, name));
      run(join(programs, 'initdb'), ['-D', data ?? '', '-A', 'trust', '-U', 'postgres', '--no-sync'], {
        user,
        cwd: directory,
      });
      const { key: text, certificate: chain } = opensslCertificate({ directory, name: 'database' });
      for (const [path = '', content] of [
        [certificate, chain],
        [key, text],
      ] as const)
        run('sh', ['-c', 'umask 077 && cat > "$0"', path], { user, input: content });
    },
    command: (directory) => [
      join(programs, 'postgres'),
      ...['-D', join(directory, 'data'), '-p', String(port), '-h', '127.0.0.1', '-k', directory],
      ...['ssl=on', `ssl_cert_file=${directory}/own.pem`, `ssl_key_file=${directory}/own.key`].flatMap(
        (setting) => ['-c', setting],
      ),
      ...['-c', 'fsync=off'],
    ],
    ready: async () => askPostgres(port, 'select 1', 'disable'),
  });
}

/** What psql prints for a statement; `require`: over the database's own TLS. */
export function askPostgres(port: number, statement: string, tls: 'disable' | 'require'): string {
  const at = `host=127.0.0.1 port=${port} user=postgres dbname=postgres sslmode=${tls} connect_timeout=20`;
  return run(join(postgres ?? '', 'psql'), ['-X', '-q', '-t', '-A', at], { input: statement }).trim();
}
