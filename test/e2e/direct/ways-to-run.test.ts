// The same command for several meshes, for a directory of files, and for somebody who is not root.
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findOurs } from '../../../src/cli/supervisor/ours.ts';
import { eventually } from '../../support/bookinfo.ts';
import { envoyPath } from '../../support/envoy.ts';
import { type Ostria, openOstria, root } from '../../support/ostria.ts';
import { PortBases } from '../../support/port-base.ts';
import { runVariable } from '../../support/reaper.ts';
import { type Outcome, runProgram } from '../../support/run-program.ts';

let ostria: Ostria;
let directory: string;
const bases = new PortBases();
beforeAll(async () => {
  ostria = await openOstria();
  directory = mkdtempSync(join(tmpdir(), 'ostria-ways-'));
});
afterAll(async () => {
  await ostria?.close();
  bases.release();
  rmSync(directory, { recursive: true, force: true });
});

/** A mesh of one program that says its name. */
function meshFile(name: string): string {
  const file = join(directory, `${name}.yaml`);
  const program = `require("http").createServer({ keepAliveTimeout: 0 }, (q, s) => s.end("${name}")).listen(process.env.PORT, "127.0.0.1")`;
  writeFileSync(
    file,
    `name: ${name}
gateways: { istio-ingressgateway: { ports: ["80", "8080"] } }
services:
  web: { command: [node, -e, '${program}'], ports: [80] }
`,
  );
  return file;
}

const gateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: web }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
`;
const route = (more = 'route: [{ destination: { host: web } }]') => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec:
  hosts: ["*"]
  gateways: [web]
  http: [{ ${more} }]
`;

async function get(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(30_000) });
  return `${answer.status} ${await answer.text()}`;
}

async function ok(result: Promise<Outcome>): Promise<string> {
  const { code, stdout, stderr } = await result;
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

/** Where a gateway's port is, as `ostria ps` says. */
async function ingressPort(mesh: string, servicePort: number): Promise<number> {
  const status = JSON.parse(await ok(ostria.run(['ps', '--mesh', mesh, '-o', 'json']))) as {
    instances: { kind: string; endpoints: { servicePort: number; listen: number }[] }[];
  };
  const endpoints = status.instances.find(({ kind }) => kind === 'gateway')?.endpoints ?? [];
  return endpoints.find((endpoint) => endpoint.servicePort === servicePort)?.listen as number;
}

describe('two meshes side by side', () => {
  test('each has its ports, from its base; commands ask which one is meant; each ends alone', async () => {
    for (const name of ['left', 'right']) {
      const base = await bases.take();
      const stdout = await ok(ostria.run(['up', '-f', meshFile(name), '-d', '--port-base', String(base)]));
      // Commands that are proposed work as they stand, whichever meshes run.
      expect(stdout.includes('ostria down --mesh right')).toBe(name === 'right');
      // The address that people open moves with the base.
      expect(stdout).toContain(`http://localhost:${await ingressPort(name, 8080)}`);
      expect(await ingressPort(name, 80)).toBe(base + 80);
    }
    const { code, stderr } = await ostria.run(['get', 'services']);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/which mesh\? left, right are running; name one with --mesh/);
    for (const name of ['left', 'right']) {
      await ok(ostria.run(['apply', '--mesh', name, '-f', '-'], { input: `${gateway}---\n${route()}` }));
      await eventually(async () => expect(await get(await ingressPort(name, 80))).toBe(`200 ${name}`));
    }
    const port = await ingressPort('right', 80);
    await ok(ostria.run(['down', '-f', meshFile('left')]));
    expect(ostria.processes('left')).toEqual([]);
    expect(await get(port)).toBe('200 right');
    // Only one runs now: it is the one that is meant.
    expect(await ok(ostria.run(['get', 'services']))).toContain('web');
    await ok(ostria.run(['down']));
    expect(ostria.processes('right')).toEqual([]);
  });
});

describe('a directory of files as the source', () => {
  test('is followed; a broken file keeps the last good state and says file:line', async () => {
    const files = join(directory, 'config');
    mkdirSync(files);
    const routeFile = join(files, 'route.yaml');
    writeFileSync(join(files, 'gateway.yaml'), gateway);
    writeFileSync(routeFile, route());
    await ok(
      ostria.run([
        'up',
        '-f',
        meshFile('files'),
        '-d',
        '--port-base',
        String(await bases.take()),
        '--config',
        files,
      ]),
    );
    const port = await ingressPort('files', 80);
    await eventually(async () => expect(await get(port)).toBe('200 files'));

    writeFileSync(routeFile, route('directResponse: { status: 418 }'));
    await eventually(async () => expect(await get(port)).toMatch(/^418/));

    const logs = () => ok(ostria.run(['logs', 'control-plane']));
    for (const [broken, where] of [
      [route('directResponse: { status: 99 }'), `${routeFile}:7:`],
      [`${route()}  gateways: [\n`, `${routeFile}:`],
    ] as const) {
      writeFileSync(routeFile, broken);
      await eventually(async () => expect(await logs()).toContain(where));
      expect(await get(port)).toMatch(/^418/);
    }
    writeFileSync(routeFile, route());
    await eventually(async () => expect(await get(port)).toBe('200 files'));
    rmSync(routeFile);
    await eventually(async () => expect(await get(port)).toMatch(/^404/));
    await ok(ostria.run(['down']));
    expect(ostria.processes('files')).toEqual([]);
  });
});

describe('the control plane alone, on a directory', () => {
  test('waits for files that are broken at the start, says where, serves once they are mended, and ends on a signal', async () => {
    const files = join(directory, 'alone');
    mkdirSync(files);
    writeFileSync(join(files, 'gateway.yaml'), `${gateway}  more: [\n`);
    const base = await bases.take();
    const child = spawn(
      process.execPath,
      [join(root, 'bin', 'ostria.mjs'), 'control-plane', '--config', files].concat(
        '--insecure-xds',
        `127.0.0.1:${base}`,
      ),
      { env: ostria.env },
    );
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk;
      });
    const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    try {
      await eventually(async () => expect(said).toContain(`${join(files, 'gateway.yaml')}:8:`));
      expect(said).not.toContain('serves');
      writeFileSync(join(files, 'gateway.yaml'), gateway);
      await eventually(async () => expect(said).toContain('the control plane serves'));
      await expect(
        new Promise((resolve, reject) =>
          connect(base, '127.0.0.1').on('connect', resolve).on('error', reject),
        ),
      ).resolves.toBeUndefined();
    } finally {
      child.kill('SIGTERM');
    }
    expect(await ended).toBe(0);
  });
});

/** The account that every system has for what may do nothing special. */
const nobody = 65_534;

/** Why this cannot be tried here; undefined where it can. */
function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can become another user; these tests run as one';
  for (let path = root; path !== dirname(path); path = dirname(path))
    if ((statSync(path).mode & 0o005) !== 0o005) return `${path} is closed to other users`;
  return undefined;
}
const skipped = whyNot();

describe.skipIf(skipped)(`an ordinary user${skipped ? ` SKIPPED: ${skipped}` : ''}`, () => {
  test('starts, uses and ends a mesh', async () => {
    const base = await bases.take();
    const home = mkdtempSync(join(tmpdir(), 'ostria-user-'));
    // Programs that the user can read: root's caches are closed to others.
    const programs = join(home, 'programs');
    mkdirSync(programs);
    chmodSync(home, 0o755);
    const node = join(programs, 'node');
    const envoy = join(programs, 'envoy');
    copyFileSync(process.execPath, node);
    copyFileSync(await envoyPath(), envoy);
    for (const file of [node, envoy]) chmodSync(file, 0o755);
    const user = join(home, 'user');
    mkdirSync(user);
    chownSync(user, nobody, nobody);
    const file = join(user, 'mesh.yaml');
    copyFileSync(meshFile('ordinary'), file);
    chmodSync(file, 0o644);
    const env = {
      [runVariable]: process.env[runVariable],
      HOME: user,
      PATH: `${programs}:/usr/bin:/bin`,
      OSTRIA_ENVOY: envoy,
      NO_COLOR: '1',
    };
    const run = (...args: string[]): Promise<Outcome> =>
      runProgram(node, [join(root, 'bin', 'ostria.mjs'), ...args], {
        ...{ cwd: user, env },
        ...{ uid: nobody, gid: nobody },
      });
    const state = join(user, '.local', 'state', 'ostria', 'ordinary');
    try {
      expect(await ok(run('up', '-d', '--port-base', String(base)))).toContain('The mesh is ready.');
      expect(await ok(run('up', '-d'))).toContain('runs already');
      const { stdout } = await run(
        'run',
        '--service',
        'caller',
        '--',
        'sh',
        '-c',
        `${node} -e 'fetch(process.env.WEB_URL).then(a => a.text()).then(console.log)'`,
      );
      expect(stdout).toContain('ordinary');
      expect(findOurs(state).length).toBeGreaterThan(5);
      await ok(run('down'));
      expect(findOurs(state)).toEqual([]);
    } finally {
      await run('down', '--all');
      rmSync(dirname(programs), { recursive: true, force: true });
    }
  });
});
