import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { isAlive, processId } from '../../../src/kit/process-id.ts';
import { type Ostria, openOstria, root } from '../../support/ostria.ts';
import { PortBases } from '../../support/port-base.ts';

let ostria: Ostria;
let base: number;
const bases = new PortBases();
const meshFile = join(root, 'samples', 'helloworld', 'mesh.yaml');
const up = (...more: string[]) =>
  ostria.run(['up', '-f', meshFile, '--detach', '--port-base', String(base), ...more]);

beforeAll(async () => {
  ostria = await openOstria();
  base = await bases.take();
});
afterAll(async () => {
  await ostria?.close();
  bases.release();
});

async function ingress(): Promise<string> {
  const status = await ostria.status();
  const gateway = status.instances.find(({ kind }) => kind === 'gateway');
  const port = gateway?.endpoints.find(({ servicePort }) => servicePort === 80)?.listen;
  return `http://127.0.0.1:${port}/hello`;
}

async function hello(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  return `${answer.status} ${(await answer.text()).trim()}`;
}

async function pidOf(name: string, part: 'app' | 'agent'): Promise<number> {
  const status = await ostria.status();
  const state = status.instances.find((instance) => instance.name === name)?.[part];
  if (state?.state !== 'running') throw new Error(`${name}/${part} is ${state?.state}`);
  return state.pid;
}

async function allReady(): Promise<void> {
  await vi.waitFor(
    async () => {
      const { instances, controlPlane } = await ostria.status();
      expect(controlPlane.ready).toBe(true);
      expect(instances.filter(({ ready }) => !ready).map(({ name, why }) => `${name}: ${why}`)).toEqual([]);
    },
    { timeout: 60_000, interval: 300 },
  );
}

describe('a mesh on this machine', () => {
  test('up starts it and returns when it answers', async () => {
    const { code, stdout, stderr } = await up();
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('The mesh is ready.');
    // The address that is shown answers.
    const [url = ''] = /http:\/\/localhost:\d+\S*/.exec(stdout) ?? [];
    expect((await fetch(url)).status).toBe(200);
    expect(await hello(await ingress())).toMatch(/^200 Hello version: v[12], instance: helloworld-v[12]-0$/);
  });

  test('up again changes nothing and says so', async () => {
    const before = ostria
      .processes('helloworld')
      .map(({ pid }) => pid)
      .sort();
    const { code, stdout } = await up();
    expect(code).toBe(0);
    expect(stdout).toContain('runs already');
    expect(
      ostria
        .processes('helloworld')
        .map(({ pid }) => pid)
        .sort(),
    ).toEqual(before);
  });

  test('keys, kubeconfig and state are private', () => {
    const state = join(ostria.home, 'helloworld');
    expect(statSync(state).mode & 0o777).toBe(0o700);
    for (const file of ['kubeconfig', 'control-plane/ca/ca-key.pem', 'workloads/sleep-0/identity.pem'])
      expect([file, statSync(join(state, file)).mode & 0o777]).toEqual([file, 0o600]);
  });

  test('applications find each other by their environment and by the proxy', async () => {
    const { code, stdout, stderr } = await ostria.run([
      ...['run', '--service', 'shell', '--'],
      ...[
        'sh',
        '-c',
        'curl -s $HELLOWORLD_URL/hello; curl -s $HTTPBIN_URL/headers; curl -s -x $HTTP_PROXY http://httpbin.default.svc.cluster.local:8000/ip',
      ],
    ]);
    // On a busy machine it says what it waits for.
    expect(stderr.replace(/^ostria: waiting for the sidecar: .*\n/gm, '')).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('Hello version: v');
    expect(stdout).toContain('"origin"');
    // The server's sidecar proved who calls.
    expect(stdout).toContain('spiffe://cluster.local/ns/default/sa/shell');
  });

  test('a BOOTSTRAP patch reaches Envoy; with one that breaks its start the proxy runs without, and the object says so', async () => {
    const file = join(ostria.home, 'bootstrap.yaml');
    const patch = (value: object) => ({ applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value } });
    const clusters = [{ name: 'xds-grpc', connect_timeout: '1s' }];
    writeFileSync(
      file,
      JSON.stringify({
        apiVersion: 'networking.istio.io/v1alpha3',
        kind: 'EnvoyFilter',
        metadata: { name: 'start', namespace: 'default' },
        spec: {
          workloadSelector: { labels: { app: 'httpbin' } },
          configPatches: [
            patch({ stats_flush_interval: '2s', stats_eviction_interval: '10s' }),
            patch({ static_resources: { clusters } }),
          ],
        },
      }),
    );
    const running = () =>
      readFileSync(join(ostria.home, 'helloworld', 'workloads', 'httpbin-0', 'envoy-bootstrap.json'), 'utf8');
    expect((await ostria.run(['apply', '-f', file])).code).toBe(0);
    await vi.waitFor(() => expect(running()).toContain('"stats_flush_interval": "2s"'), {
      timeout: 30_000,
      interval: 300,
    });
    await vi.waitFor(
      async () => {
        const { stdout } = await ostria.run(['get', 'envoyfilter', 'start', '-o', 'json']);
        const { status } = JSON.parse(stdout) as { status?: { conditions?: { message: string }[] } };
        expect(status?.conditions?.map(({ message }) => message).join()).toMatch(
          /spec\.configPatches\[1\]: default\/httpbin-0 runs without it.*duplicate cluster 'xds-grpc'/,
        );
      },
      { timeout: 30_000, interval: 500 },
    );
    await allReady();
    expect((await ostria.run(['delete', '-f', file])).code).toBe(0);
    await vi.waitFor(() => expect(running()).toContain('"stats_flush_interval": "5s"'), {
      timeout: 30_000,
      interval: 300,
    });
    await allReady();
  });

  test('a process that joins serves while it runs', async () => {
    const script = `require('http').createServer({ keepAliveTimeout: 0 }, (q, s) => s.end('Hello version: v9')).listen(process.env.PORT, '127.0.0.1')`;
    const child = spawn(
      process.execPath,
      [
        join(root, 'bin', 'ostria.mjs'),
        'run',
        '-s',
        'helloworld',
        '--version',
        'v9',
        '-p',
        '5000',
        '--',
        process.execPath,
        '-e',
        script,
      ],
      { env: ostria.env, stdio: 'ignore' },
    );
    const url = await ingress();
    try {
      await vi.waitFor(async () => expect(await hello(url)).toContain('v9'), {
        timeout: 30_000,
        interval: 20,
      });
      // kill -9 of ostria run: the workload leaves all the same.
      child.kill('SIGKILL');
      await vi.waitFor(
        async () =>
          expect((await ostria.status()).instances.map(({ name }) => name).join()).not.toContain('v9'),
        { timeout: 30_000, interval: 300 },
      );
    } finally {
      child.kill('SIGKILL');
    }
    for (let call = 0; call < 30; call++) expect(await hello(url)).toMatch(/^200 Hello version: v[12]/);
  });

  test.each([
    ['helloworld-v1-0', 'app'],
    ['helloworld-v1-0', 'agent'],
    ['istio-ingressgateway', 'agent'],
  ] as const)('kill -9 of %s %s: it comes again', async (name, part) => {
    const pid = await pidOf(name, part);
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(async () => expect(await pidOf(name, part)).not.toBe(pid), {
      timeout: 30_000,
      interval: 100,
    });
    await allReady();
    expect(await hello(await ingress())).toMatch(/^200/);
  });

  test('kill -9 of an Envoy: it comes again', async () => {
    const note = join(ostria.home, 'helloworld', 'workloads', 'helloworld-v2-0', 'envoy-process.json');
    const pid = (): number => JSON.parse(readFileSync(note, 'utf8')).pid;
    const before = pid();
    process.kill(before, 'SIGKILL');
    await vi.waitFor(() => expect(existsSync(note) ? pid() : before).not.toBe(before), { timeout: 30_000 });
    await allReady();
    for (let call = 0; call < 10; call++) expect(await hello(await ingress())).toMatch(/^200/);
  });

  test('kill -9 of the control plane and of the supervisor: traffic goes on, up adopts what runs', async () => {
    const url = await ingress();
    const { controlPlane, pid } = await ostria.status();
    if (controlPlane.state.state !== 'running') throw new Error('the control plane does not run');
    const applications = await Promise.all(
      ['helloworld-v1-0', 'httpbin-0'].map((name) => pidOf(name, 'app')),
    );
    process.kill(pid, 'SIGKILL');
    process.kill(controlPlane.state.pid, 'SIGKILL');
    for (let call = 0; call < 20; call++) expect(await hello(url)).toMatch(/^200/);
    expect((await ostria.run(['ps'])).code).toBe(7);
    const { code, stderr } = await up();
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(await Promise.all(['helloworld-v1-0', 'httpbin-0'].map((name) => pidOf(name, 'app')))).toEqual(
      applications,
    );
    expect(await hello(url)).toMatch(/^200/);
  });

  test('logs show what applications and sidecars wrote', async () => {
    const { stdout } = await ostria.run(['logs', 'helloworld-v1']);
    expect(stdout).toContain('helloworld v1 listens on');
    expect((await ostria.run(['logs', 'helloworld-v1-0', '-c', 'agent'])).stdout).not.toBe('');
    expect(
      (await ostria.run(['logs', 'control-plane', '--tail', '1'])).stdout.trim().split('\n'),
    ).toHaveLength(1);
    const { code, stderr } = await ostria.run(['logs', 'nobody']);
    expect(code).toBe(4);
    expect(stderr).toContain('there are no logs of nobody');
  });

  test('proxy-config and proxy-status show what Envoy has', async () => {
    const show = async (...args: string[]) => (await ostria.run(args)).stdout;
    expect(await show('proxy-status')).toMatch(/^NAME\s+CDS\s+LDS\s+EDS\s+RDS/);
    // The control plane was killed a moment ago; Envoys come back to it after a pause of random length.
    await vi.waitFor(
      async () => expect(await show('proxy-status')).toMatch(/helloworld-v1-0\.default\s+SYNCED\s+SYNCED/),
      { timeout: 60_000, interval: 500 },
    );
    expect(await show('proxy-config', 'cluster', 'sleep-0')).toMatch(
      /helloworld\.default\.svc\.cluster\.local\s+5000\s+-\s+outbound\s+EDS/,
    );
    expect(await show('pc', 'endpoint', 'sleep-0', '--status', 'healthy')).toMatch(
      /127\.0\.0\.1:\d+\s+HEALTHY\s+OK\s+outbound\|5000/,
    );
    expect(await show('pc', 'listener', 'sleep')).toMatch(/^ADDRESSES\s+PORT\s+MATCH\s+DESTINATION/);
    expect(await show('pc', 'route', 'istio-ingressgateway')).toMatch(/\/hello\s+helloworld\.default/);
    const secrets = await show('pc', 'secret', 'sleep-0', '-o', 'json');
    expect(secrets).toContain('"ROOTCA"');
    expect(secrets).not.toContain('PRIVATE KEY');
    expect(JSON.parse(await show('pc', 'bootstrap', 'sleep-0', '-o', 'json'))).toHaveProperty('admin');
  });

  test('down leaves no process, and a second down is no failure', async () => {
    const running = ostria.processes('helloworld');
    expect(running.length).toBeGreaterThan(10);
    const { code } = await ostria.run(['down']);
    expect(code).toBe(0);
    expect(running.filter(isAlive)).toEqual([]);
    expect(ostria.processes('helloworld')).toEqual([]);
    expect((await ostria.run(['down'])).stdout).toContain('was not running');
  });

  test('down after kill -9 of the supervisor sweeps everything', async () => {
    expect((await up()).code).toBe(0);
    const { pid } = await ostria.status();
    process.kill(pid, 'SIGKILL');
    expect((await ostria.run(['down'])).code).toBe(0);
    expect(ostria.processes('helloworld')).toEqual([]);
    expect(processId(pid)).toBeUndefined();
  });
});

describe('what keeps a mesh from starting is named', () => {
  let server: Server | undefined;
  afterAll(() => server?.close());

  test('a port that somebody else took, with its owner', async () => {
    const ports = JSON.parse(readFileSync(join(ostria.home, 'helloworld', 'ports.json'), 'utf8')).ports;
    const port = ports['httpbin-0/inbound/8000'];
    server = createServer();
    await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
    const { code, stderr } = await up();
    expect(code).toBe(5);
    expect(stderr).toContain(`port ${port} (httpbin-0/inbound/8000) is in use by process ${process.pid}`);
    expect(stderr).toContain('--port-base');
    expect(ostria.processes('helloworld')).toEqual([]);
  });

  test('a program that ends at once, with the end of its log', async () => {
    const directory = join(ostria.home, 'projects', 'broken');
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, 'mesh.yaml'),
      'name: broken\ngateways: {}\nservices:\n  bad:\n    command: sh -c "echo no luck today; exit 3"\n    restart: "no"\n',
    );
    const args = ['up', '-d', '--port-base', String(await bases.take())];
    const { code, stderr } = await ostria.run(args, { cwd: directory });
    expect(code).toBe(8);
    expect(stderr).toContain('bad-0: the application ended with exit code 3');
    expect(stderr).toContain('| no luck today');
    expect((await ostria.run(['down', '--mesh', 'broken'])).code).toBe(0);
  });
});

test('up --watch restarts a program when its file changes', async () => {
  const directory = join(ostria.home, 'projects', 'watched');
  mkdirSync(directory, { recursive: true });
  const program = (word: string): string =>
    `require('http').createServer({ keepAliveTimeout: 0 }, (q, s) => s.end('${word}')).listen(process.env.PORT, '127.0.0.1')\n`;
  writeFileSync(join(directory, 'web.cjs'), program('first'));
  writeFileSync(
    join(directory, 'mesh.yaml'),
    'name: watched\ngateways: {}\nservices:\n  web: { command: node web.cjs, ports: [80] }\n',
  );
  const args = ['up', '-d', '--watch', '--port-base', String(await bases.take())];
  expect((await ostria.run(args, { cwd: directory })).code).toBe(0);
  const say = async (): Promise<string> => {
    const { stdout } = await ostria.run([
      'run',
      '--mesh',
      'watched',
      '-s',
      'shell',
      '--',
      'sh',
      '-c',
      'curl -s $WEB_URL',
    ]);
    return stdout;
  };
  expect(await say()).toBe('first');
  writeFileSync(join(directory, 'web.cjs'), program('second'));
  await vi.waitFor(async () => expect(await say()).toBe('second'), { timeout: 30_000, interval: 500 });
  expect((await ostria.run(['down', '--mesh', 'watched'])).code).toBe(0);
});

test('in the foreground a killed supervisor is replaced, and Ctrl-C ends everything', async () => {
  const directory = join(ostria.home, 'projects', 'front');
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    join(directory, 'mesh.yaml'),
    'name: front\ngateways: {}\nservices:\n  idle: { command: sleep 1000 }\n',
  );
  const child = spawn(
    process.execPath,
    [join(root, 'bin', 'ostria.mjs'), 'up', '--port-base', String(await bases.take())],
    { cwd: directory, env: ostria.env, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await vi.waitFor(() => expect(text).toContain('Press Ctrl-C'), { timeout: 40_000 });
    const status = async () =>
      JSON.parse((await ostria.run(['ps', '--mesh', 'front', '-o', 'json'])).stdout) as { pid: number };
    const { pid } = await status();
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(async () => expect((await status()).pid).not.toBe(pid), {
      timeout: 30_000,
      interval: 300,
    });
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(ostria.processes('front')).toEqual([]);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a stranger on the control plane’s port is named, whenever it came', async () => {
  const directory = join(ostria.home, 'projects', 'rival');
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    join(directory, 'mesh.yaml'),
    'name: rival\ngateways: {}\nservices:\n  idle: { command: sleep 1000 }\n',
  );
  const args = ['up', '-d', '--port-base', String(await bases.take())];
  expect((await ostria.run(args, { cwd: directory })).code).toBe(0);
  const { ports } = JSON.parse((await ostria.run(['ps', '--mesh', 'rival', '-o', 'json'])).stdout) as {
    ports: { monitoring: number };
  };
  expect(await ostria.run([...args, '--wait-timeout', 'soon'], { cwd: directory })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--wait-timeout soon is no duration'),
  });
  // Everything is killed, and a stranger takes the port before or while the mesh starts again.
  const stranger = createHttpServer({ keepAliveTimeout: 0 }, (_, response) => response.end('ok'));
  try {
    const rival = ostria.processes('rival').map(({ pid }) => pid);
    for (const pid of rival) process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(ostria.processes('rival')).toEqual([]), { timeout: 30_000 });
    const starting = ostria.run([...args, '--wait-timeout', '10s'], { cwd: directory });
    await vi.waitFor(
      () =>
        new Promise<void>((resolve, reject) => {
          stranger.once('error', reject);
          stranger.listen(ports.monitoring, '127.0.0.1', resolve);
        }),
      { timeout: 30_000, interval: 5 },
    );
    const { code, stderr } = await starting;
    expect([5, 8]).toContain(code);
    expect(stderr).toContain(String(ports.monitoring));
  } finally {
    stranger.closeAllConnections();
    stranger.close();
    await ostria.run(['down', '--mesh', 'rival']);
  }
});
