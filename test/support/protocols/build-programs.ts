import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program that tests need and that is built here, once, at night. */
export type Found = { readonly path: string } | { readonly missing: string };

const builds = join(homedir(), '.cache', 'ostria', 'test-programs');
const halfHour = 1_800_000;

/** What is there already, or else, with OSTRIA_NIGHTLY, what `build` makes at the path that it is given. */
function findOrBuild(name: string, build: (path: string) => void): Found {
  const path = join(builds, name);
  if (existsSync(path)) return { path };
  if (process.env.OSTRIA_NIGHTLY !== '1') return { missing: `${name} is built with OSTRIA_NIGHTLY only` };
  try {
    mkdirSync(builds, { recursive: true });
    build(path);
    return existsSync(path) ? { path } : { missing: `${name} was not built` };
  } catch (error) {
    return { missing: `${name} could not be built: ${(error as Error).message}` };
  }
}

function go(args: readonly string[], cwd: string): string {
  const env = { ...process.env, CGO_ENABLED: '0' };
  return execFileSync('go', args, { cwd, env, encoding: 'utf8', timeout: halfHour, stdio: 'pipe' });
}

const ferret = { module: 'github.com/FerretDB/FerretDB', version: 'v1.24.2' };

/**
 * FerretDB with SQLite: MongoDB's wire protocol, authentication included. Its program wants a file with its version, which the module
 * lacks, so it is built from a copy.
 */
export function findFerretDb(): Found {
  return findOrBuild(`ferretdb-${ferret.version}`, (path) => {
    const scratch = mkdtempSync(join(tmpdir(), 'ostria-ferretdb-'));
    try {
      const module = `${ferret.module}@${ferret.version}`;
      const { Dir } = JSON.parse(go(['mod', 'download', '-json', module], scratch)) as { Dir: string };
      const source = join(scratch, 'source');
      cpSync(Dir, source, { recursive: true });
      execFileSync('chmod', ['-R', 'u+w', source]);
      writeFileSync(join(source, 'build', 'version', 'version.txt'), `${ferret.version}\n`);
      go(['build', '-tags', 'ferretdb_sqlite', '-o', path, './cmd/ferretdb'], source);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}

/** A Kafka broker in memory, and a client of it. */
export function findKafka(): Found {
  const source = join(import.meta.dirname, 'kafka');
  return findOrBuild('kafka', (path) => void go(['build', '-o', path, '.'], source));
}

/** The directory with Apache Dubbo and all that it needs, as jars. */
export function findDubbo(): Found {
  return findOrBuild('dubbo-3.3.5', (path) => {
    const scratch = mkdtempSync(join(builds, 'dubbo-'));
    try {
      cpSync(join(import.meta.dirname, 'dubbo', 'pom.xml'), join(scratch, 'pom.xml'));
      const args = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=jars'];
      execFileSync('mvn', args, { cwd: scratch, stdio: 'pipe', timeout: halfHour });
      cpSync(join(scratch, 'jars'), path, { recursive: true });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}
