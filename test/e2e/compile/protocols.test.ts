import { createServer, request, type Server } from 'node:http';
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const names = ['http', 'sniffed', 'raw', 'banner', 'grpc', 'undeclared'] as const;
type Name = (typeof names)[number];
const servicePorts: Record<Name, number> = {
  http: 80,
  sniffed: 81,
  raw: 82,
  banner: 83,
  grpc: 84,
  undeclared: 85,
};
const portNames: Record<Name, string> = {
  http: 'http',
  sniffed: 'web',
  raw: 'bytes',
  banner: 'tcp-banner',
  grpc: 'grpc',
  undeclared: 'thing',
};
const fqdn = 'app.default.svc.cluster.local';

const closers: (() => void)[] = [];

async function listen<S extends Server | TcpServer | Http2Server>(server: S, port: number): Promise<void> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  closers.push(() => server.close());
}

/** Says a word first, then echoes. */
function bannerServer(): TcpServer {
  return createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('220 ready\n');
    socket.pipe(socket);
  });
}

function echoServer(): TcpServer {
  return createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
}

/** Sends text and resolves with the first `length` characters that come back. */
function talk(port: number, text: string, length: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.setTimeout(30_000, () =>
      socket.destroy(new Error(`nothing within 3 s, only ${JSON.stringify(got)}`)),
    );
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(got)}`)));
    socket.on('data', (data) => {
      got += data.toString();
      if (got.length < length) return;
      socket.removeAllListeners('close');
      socket.destroy();
      resolve(got);
    });
  });
}

function http2Call(port: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({ ':path': '/', ':method': 'POST', te: 'trailers' });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (data) => {
      body += data;
    });
    stream.on('end', () => {
      session.close();
      resolve({ status, body });
    });
    stream.on('error', reject);
    stream.end();
  });
}

describe.each(['STRICT', 'PERMISSIVE', 'DISABLE'] as const)('between two sidecars, %s', (mode) => {
  let mesh: CompiledMesh;
  let envoys: TestEnvoy[];
  const local = {} as Record<Name, number>;
  const inboundPort = {} as Record<Name, number>;

  beforeAll(async () => {
    const ports = await freePorts(names.length * 3);
    const take = () => ports.shift() as number;
    const app = {} as Record<Name, number>;
    for (const name of names) {
      local[name] = take();
      inboundPort[name] = take();
      app[name] = take();
    }
    const websocket = createServer({ keepAliveTimeout: 0 });
    websocket.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      socket.pipe(socket);
      socket.on('error', () => undefined);
    });
    websocket.on('request', (incoming, response) =>
      response.end(
        JSON.stringify({ version: 'http', path: incoming.url, httpVersion: incoming.httpVersion }),
      ),
    );
    await listen(websocket, app.http);
    const sniffed = await startEcho('sniffed', app.sniffed);
    closers.push(() => sniffed.close());
    await listen(echoServer(), app.raw);
    await listen(bannerServer(), app.banner);
    await listen(bannerServer(), app.undeclared);
    const http2 = createHttp2Server();
    http2.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200 });
      stream.end('http2');
    });
    await listen(http2, app.grpc);

    const tlsMode = mode === 'DISABLE' ? 'disabled' : 'istio';
    mesh = await startCompiledMesh(
      `
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  clusterIP: 10.1.0.1
  selector: {app: app}
  ports:
${names.map((name) => `  - {name: ${portNames[name]}, port: ${servicePorts[name]}, targetPort: ${servicePorts[name]}}`).join('\n')}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-1, labels: {app: app, security.istio.io/tlsMode: ${tlsMode}}}
spec:
  address: 127.0.0.1
  labels: {app: app, security.istio.io/tlsMode: ${tlsMode}}
  ports: {${names.map((name) => `${portNames[name]}: ${inboundPort[name]}`).join(', ')}}
`,
      { defaultMtlsMode: mode, protocolDetectionTimeout: '500ms' },
    );
    const outbound = Object.fromEntries(names.map((name) => [`${fqdn}:${servicePorts[name]}`, local[name]]));
    const inbound = names.map((name) => ({
      servicePort: servicePorts[name],
      listen: inboundPort[name],
      app: app[name],
    }));
    envoys = [
      await mesh.envoy({
        name: 'client',
        metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } },
      }),
      await mesh.envoy({
        name: 'app-1',
        metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound, httpProxy: 0 } },
      }),
    ];
  });

  afterAll(async () => {
    await mesh?.stop();
    for (const close of closers.splice(0)) close();
  });

  test('HTTP', async () => {
    expect(parseEcho(await call(local.http, '/x'))).toMatchObject({ path: '/x', httpVersion: '1.1' });
  });

  test('WebSocket', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const upgrade = request({
        host: '127.0.0.1',
        port: local.http,
        headers: { connection: 'Upgrade', upgrade: 'websocket' },
      });
      upgrade.on('upgrade', (_, socket) => {
        socket.write('ping');
        socket.on('data', (data: Buffer) => {
          socket.destroy();
          resolve(data.toString());
        });
      });
      upgrade.on('response', (response) => reject(new Error(`not upgraded: ${response.statusCode}`)));
      upgrade.on('error', reject);
      upgrade.end();
    });
    expect(text).toBe('ping');
  });

  test('HTTP on a port without a declared protocol', async () => {
    expect(parseEcho(await call(local.sniffed, '/y'))).toMatchObject({ version: 'sniffed', path: '/y' });
  });

  test('raw bytes on a port without a declared protocol', async () => {
    expect(await talk(local.raw, '\u0000\u0001 hello\n', 9)).toContain('hello');
  });

  test('a server that speaks first on a TCP port', async () => {
    // An inspector that waits for the client's first byte would wait until the test's own time limit.
    expect(await talk(local.banner, '', 9)).toBe('220 ready\n');
  });

  test('a server that speaks first on a port that nobody declares, when the detection is over', async () => {
    expect(await talk(local.undeclared, '', 9)).toBe('220 ready\n');
  });

  test('HTTP/2 end to end', async () => {
    expect(await http2Call(local.grpc)).toEqual({ status: 200, body: 'http2' });
  });

  test('plaintext callers outside the mesh', async () => {
    if (mode === 'STRICT') {
      await expect(call(inboundPort.http, '/p')).rejects.toThrow();
      return;
    }
    expect(parseEcho(await call(inboundPort.http, '/p'))).toMatchObject({ path: '/p' });
    expect(parseEcho(await call(inboundPort.sniffed, '/p'))).toMatchObject({ path: '/p' });
    expect(await talk(inboundPort.raw, '\u0000 plain\n', 8)).toContain('plain');
    expect(await talk(inboundPort.banner, '', 9)).toBe('220 ready\n');
    expect(await talk(inboundPort.undeclared, '', 9)).toBe('220 ready\n');
  });

  test('nothing was refused', async () => {
    expect(mesh.refusals).toEqual([]);
    for (const envoy of envoys) expect(await rejectedUpdates(envoy)).toBe(0);
  });
});
