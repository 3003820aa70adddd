import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer, type Socket, type Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

/** One client sidecar; a service per behaviour, its endpoints written by hand. */
const names = ['tunnel', 'post', 'announced', 'announced-http', 'short', 'sticky', 'hashed'] as const;
const more = ['errors', 'gold', 'zones', 'spread', 'unshared', 'upgraded', 'crowded'] as const;
type Name = (typeof names)[number] | (typeof more)[number];

const protocols: Partial<Record<Name, string>> = {
  tunnel: 'TCP',
  post: 'TCP',
  announced: 'TCP',
  short: 'TCP',
  hashed: 'TCP',
};

const local = {} as Record<Name, number>;
const closers: (() => void)[] = [];
let echoes: number[];
let tcpEchoes: number[];
let mesh: CompiledMesh;
let client: TestEnvoy;

async function listening<S extends Server | TcpServer>(server: S): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return (server.address() as { port: number }).port;
}

/** Answers with what `greet` makes of the first bytes, then echoes. */
function tcpServer(greet: (first: string, socket: Socket) => string | undefined): TcpServer {
  return createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data: Buffer) => {
      const text = greet(data.toString('latin1'), socket);
      if (text !== undefined) socket.write(text);
      socket.pipe(socket);
    });
  });
}

/** Sends text; resolves with what came until `done` holds. */
function talk(port: number, text: string, done: (got: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(got)}`)));
    socket.on('data', (data) => {
      got += data.toString('latin1');
      if (!done(got)) return;
      socket.removeAllListeners('close');
      socket.destroy();
      resolve(got);
    });
  });
}

interface Place {
  readonly port: number;
  readonly locality?: string;
  readonly labels?: Record<string, string>;
}

function service(name: Name, places: readonly Place[], policy: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  resolution: STATIC
  ports: [{number: 80, name: main, protocol: ${protocols[name] ?? 'HTTP'}}]
  endpoints:
${places
  .map(
    ({ port, locality = '', labels = {} }) =>
      `  - {address: 127.0.0.1, ports: {main: ${port}}, locality: ${JSON.stringify(locality)}, labels: ${JSON.stringify(labels)}}`,
  )
  .join('\n')}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: {host: ${name}.example.com, trafficPolicy: ${policy}}
---`;
}

beforeAll(async () => {
  const ports = await freePorts(names.length + more.length + 4);
  for (const name of [...names, ...more]) local[name] = ports.shift() as number;
  echoes = ports.slice(0, 3);
  for (const [index, port] of echoes.entries()) {
    const echo = await startEcho(String(index), port);
    closers.push(() => echo.close());
  }
  const proxy = await listening(
    tcpServer((head, socket) => {
      const [method, target] = head.split(' ');
      // A POST tunnel's payload is a chunked body; the test looks at the request alone.
      if (method === 'POST') socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n`);
      else socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const seen = `seen ${method} ${target} ${/host: (\S+)/i.exec(head)?.[1]};`;
      return method === 'POST' ? `${seen.length.toString(16)}\r\n${seen}\r\n` : seen;
    }),
  );
  tcpEchoes = [];
  for (let index = 0; index < 3; index++) tcpEchoes.push(await listening(tcpServer(() => `from ${index};`)));
  const announced = await listening(tcpServer((first) => JSON.stringify(first)));
  const raw = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data: Buffer) => {
      const head = data.subarray(0, 12).toString('hex');
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${head.length}\r\nconnection: close\r\n\r\n${head}`);
    });
  });
  const announcedHttp = await listening(raw);
  const failing = await listening(
    createHttpServer({ keepAliveTimeout: 0 }, (_, response) => {
      response.statusCode = 404;
      response.end('{"version":"failing"}');
    }),
  );
  const http2 = createHttp2Server();
  http2.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    stream.end('spoken: h2');
  });
  const upgraded = await listening(http2 as unknown as TcpServer);
  const slow = await listening(
    createHttpServer({ keepAliveTimeout: 0 }, (_, response) => {
      setTimeout(() => response.end('slow'), 300);
    }),
  );
  const all = echoes.map((port) => ({ port }));
  const [zero = 0, one = 0, two = 0] = echoes;
  mesh = await startCompiledMesh(
    [
      service('tunnel', [{ port: proxy }], '{tunnel: {targetHost: far.example.com, targetPort: 8443}}'),
      service(
        'post',
        [{ port: proxy }],
        '{tunnel: {protocol: POST, targetHost: far.example.com, targetPort: 8443}}',
      ),
      service('announced', [{ port: announced }], '{proxyProtocol: {}}'),
      service('announced-http', [{ port: announcedHttp }], '{proxyProtocol: {version: V2}}'),
      service('short', [{ port: tcpEchoes[0] ?? 0 }], '{connectionPool: {tcp: {idleTimeout: 200ms}}}'),
      service(
        'hashed',
        tcpEchoes.map((port) => ({ port })),
        '{loadBalancer: {consistentHash: {useSourceIp: true}}}',
      ),
      service(
        'sticky',
        all,
        '{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1000}}}}',
      ),
      service(
        'errors',
        [{ port: zero }, { port: failing }],
        '{outlierDetection: {outlierDetectionHttpErrorCodes: [404], consecutive5xxErrors: 2, maxEjectionPercent: 50, baseEjectionTime: 600s, interval: 1s}}',
      ),
      service(
        'gold',
        [
          { port: zero, labels: { tier: 'silver' } },
          { port: one, labels: { tier: 'gold' } },
          { port: two, labels: { tier: 'bronze' } },
        ],
        '{loadBalancer: {localityLbSetting: {failoverPriority: [tier=gold]}}, outlierDetection: {consecutive5xxErrors: 2}}',
      ),
      service(
        'zones',
        [
          { port: zero, locality: 'eu/a' },
          { port: one, locality: 'eu/b' },
          { port: two, locality: 'us/a' },
        ],
        '{loadBalancer: {zoneAwareLbSetting: {enabled: true, minClusterSize: 1}}}',
      ),
      service(
        'spread',
        [
          { port: zero, locality: 'eu/a' },
          { port: one, locality: 'eu/b' },
          { port: two, locality: 'us/a' },
        ],
        '{loadBalancer: {localityLbSetting: {distribute: [{from: "eu/*", to: {"eu/b": 100}}]}}}',
      ),
      service(
        'unshared',
        [{ port: zero }, { port: one }],
        '{loadBalancer: {consistentHash: {useSourceIp: true}, localityLbSetting: {distribute: [{from: "us/*", to: {"us/*": 100}}]}}}',
      ),
      service('upgraded', [{ port: upgraded }], '{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}'),
      service(
        'crowded',
        [{ port: slow }],
        '{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}',
      ),
      // The caller's own service: as many callers in one zone as in the other.
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: callers}
spec:
  hosts: [callers.example.com]
  resolution: STATIC
  ports: [{number: 80, name: main, protocol: HTTP}]
  workloadSelector: {labels: {app: caller}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: caller}
spec: {address: 10.9.0.1, locality: eu/a, labels: {app: caller}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: other-caller}
spec: {address: 10.9.0.2, locality: eu/b, labels: {app: caller}}
`,
    ].join('\n'),
  );
  const outbound = Object.fromEntries(
    [...names, ...more].map((name) => [`${name}.example.com:80`, local[name]]),
  );
  client = await mesh.envoy({
    name: 'caller',
    labels: { app: 'caller' },
    locality: { region: 'eu', zone: 'a' },
    metadata: {
      ENABLE_SELF_DISCOVERY: 'true',
      OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const close of closers) close();
});

async function versions(name: Name, count: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const { version } = parseEcho(await call(local[name]));
    seen[version] = (seen[version] ?? 0) + 1;
  }
  return seen;
}

describe('TCP', () => {
  test('a tunnel asks the destination, a proxy, for the target', async () => {
    const got = await talk(local.tunnel, 'hello', (text) => text.includes(';hello'));
    expect(got).toBe('seen CONNECT far.example.com:8443 far.example.com:8443;hello');
    // What comes first from an HTTP/1.1 proxy may hold the request alone.
    expect(await talk(local.post, 'hello', (text) => text.includes(';'))).toContain('seen POST');
  });

  test('a PROXY header goes before the bytes', async () => {
    const got = await talk(local.announced, 'hello', (text) => text.includes('"'));
    expect(JSON.parse(got.slice(0, got.lastIndexOf('"') + 1))).toMatch(
      /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n/,
    );
  });

  test('an idle connection is closed', async () => {
    await expect(talk(local.short, 'hello', () => false)).rejects.toThrow('closed after "from 0;');
  });

  test('one client keeps to one endpoint', async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 10; i++) seen.add(await talk(local.hashed, 'x', (text) => text.includes(';')));
    expect(seen.size).toBe(1);
  });
});

describe('HTTP', () => {
  test('a PROXY header of version 2 goes before the request', async () => {
    expect((await call(local['announced-http'])).body).toBe('0d0a0d0a000d0a515549540a');
  });

  test('one client keeps to one endpoint, by a table whose size is no prime too', async () => {
    expect(Object.keys(await versions('sticky', 12))).toHaveLength(1);
  });

  test('a status that counts as an error ejects the endpoint', async () => {
    await expect
      .poll(async () => {
        await call(local.errors);
        const { body } = await client.admin('/clusters');
        return /errors\.example\.com::127\.0\.0\.1:\d+::health_flags::\/failed_outlier_check/.test(body);
      })
      .toBe(true);
    expect(Object.keys(await versions('errors', 10))).toEqual(['0']);
  });

  test('label priorities choose', async () => {
    expect(await versions('gold', 10)).toEqual({ 1: 10 });
  });

  test('zone-aware routing keeps to the zone of the caller', async () => {
    expect(await versions('zones', 20)).toEqual({ 0: 20 });
  });

  test('shares of localities', async () => {
    expect(await versions('spread', 10)).toEqual({ 1: 10 });
  });

  test('a hash finds endpoints in no place, for a caller without a share', async () => {
    expect(Object.values(await versions('unshared', 6))).toEqual([6]);
  });

  test('HTTP/1.1 upgraded to HTTP/2', async () => {
    expect((await call(local.upgraded)).body).toBe('spoken: h2');
  });

  test('what goes beyond the pool is refused', async () => {
    const statuses = (await Promise.all(Array.from({ length: 8 }, () => call(local.crowded)))).map(
      ({ status }) => status,
    );
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0);
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0);
  });
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(client)).toBe(0);
});
