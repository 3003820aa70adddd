// Istio's standard metrics as a user's Prometheus reads them: at the agents, of real Envoys, for HTTP, gRPC and TCP.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ostria, openOstria } from '../../support/ostria.ts';
import { takePortBase } from '../../support/port-base.ts';
import { waitFor } from '../../support/wait-for.ts';

const application = `
const { PORT } = process.env;
const grpc = (status) => (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
  stream.end();
};
const modes = {
  web: () => require('http').createServer({ keepAliveTimeout: 0 }, (q, s) => s.end(JSON.stringify(q.headers))),
  echo: () => require('net').createServer((socket) => socket.pipe(socket)),
  greeter: () => require('http2').createServer().on('stream', grpc('5')),
};
modes[process.argv[2]]().listen(PORT, '127.0.0.1');
`;

const meshFile = (program: string) => `name: metrics
gateways: { istio-ingressgateway: { labels: { istio: ingressgateway }, ports: ["80", "8080"] } }
apply: [gateway.yaml]
services:
  caller: { command: [node, ${program}, web], ports: [80], version: v7 }
  web-v2: { service: web, version: v2, command: [node, ${program}, web], ports: [80] }
  echo: { command: [node, ${program}, echo], ports: ["7000/tcp"] }
  greeter: { command: [node, ${program}, greeter], ports: ["9000/grpc"] }
`;

const gateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec: { hosts: ['*'], gateways: [edge], http: [{ route: [{ destination: { host: web } }] }] }
`;

type Labels = Readonly<Record<string, string>>;

let ostria: Ostria;
let release: () => void;
let ports: Record<string, number>;
const port = (name: string): number => {
  const found = ports[name];
  if (found === undefined) throw new Error(`no port ${name} in ${Object.keys(ports).join(' ')}`);
  return found;
};
const host = (service: string) => `${service}.default.svc.cluster.local`;

beforeAll(async () => {
  ostria = await openOstria();
  const taken = await takePortBase();
  release = taken.release;
  const program = join(ostria.home, 'application.cjs');
  writeFileSync(program, application);
  writeFileSync(join(ostria.home, 'gateway.yaml'), gateway);
  writeFileSync(join(ostria.home, 'mesh.yaml'), meshFile(program));
  // PERMISSIVE, so that a stranger without a certificate gets in at all.
  const { code, stdout, stderr } = await ostria.run(
    ['up', '-f', join(ostria.home, 'mesh.yaml'), '--detach', '--mtls', 'permissive'].concat(
      '--port-base',
      String(taken.base),
    ),
  );
  if (code !== 0) throw new Error(`${stderr}${stdout}`);
  ({ ports } = JSON.parse(readFileSync(join(ostria.home, 'metrics', 'ports.json'), 'utf8')));
});

afterAll(async () => {
  await ostria?.close();
  release?.();
});

interface Series {
  readonly labels: Labels;
  readonly value: number;
}

async function series(workload: string, name: string): Promise<Series[]> {
  const text = await (await fetch(`http://127.0.0.1:${port(`${workload}/metrics`)}/stats/prometheus`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`))
    .map((line) => ({
      labels: Object.fromEntries(
        [...line.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
      ),
      value: Number(line.slice(line.lastIndexOf(' '))),
    }));
}

/** The series of a metric that have these labels, once there are some. */
function found(workload: string, name: string, labels: Labels): Promise<Series[]> {
  return waitFor(`${name} ${JSON.stringify(labels)} of ${workload}`, async () => {
    const all = await series(workload, name);
    const wanted = all.filter((one) =>
      Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
    return wanted.length > 0 ? wanted : undefined;
  });
}

/** GET that may say anything in its headers; resolves with those that the other side saw. */
function get(to: number, headers: Labels, path = '/'): Promise<Labels> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: to, path, headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(JSON.parse(body))
          : reject(new Error(`${response.statusCode} ${body}`)),
      );
    });
    sent.on('error', reject).end();
  });
}

/** What every series between the two says about them. */
const between = (service: string, workload: string, version: string): Labels => ({
  source_workload: 'caller',
  source_workload_namespace: 'default',
  source_canonical_service: 'caller',
  source_canonical_revision: 'v7',
  source_app: 'caller',
  source_version: 'v7',
  source_cluster: 'Kubernetes',
  source_principal: 'spiffe://cluster.local/ns/default/sa/caller',
  destination_workload: workload,
  destination_workload_namespace: 'default',
  destination_canonical_service: service,
  destination_canonical_revision: version,
  destination_app: service,
  destination_version: version,
  destination_cluster: 'Kubernetes',
  destination_principal: `spiffe://cluster.local/ns/default/sa/${service}`,
  destination_service: host(service),
  destination_service_name: service,
  destination_service_namespace: 'default',
  response_flags: '-',
});

const spoofed = { 'x-ostria-peer': 'bank;default;bank;v1' };

// First of all: a mesh that says it is ready lets the very first connection through, which nobody would try again.
test('TCP: connections and bytes, exactly once', async () => {
  for (let i = 0; i < 2; i++)
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port(`caller-0/outbound/${host('echo')}:7000`), '127.0.0.1', () =>
        socket.write('12345'),
      );
      socket.on('data', () => socket.end()).on('close', () => resolve());
      socket.on('error', reject);
    });
  const tcp = {
    ...between('echo', 'echo', 'v1'),
    request_protocol: 'tcp',
  };
  const source = { ...tcp, reporter: 'source', connection_security_policy: 'unknown' };
  // No header travels with bytes: of the caller is known what its certificate proves.
  const destination: Labels = {
    ...tcp,
    ...Object.fromEntries(
      ['workload', 'canonical_service', 'canonical_revision', 'app', 'version', 'cluster'].map((fact) => [
        `source_${fact}`,
        'unknown',
      ]),
    ),
    reporter: 'destination',
    connection_security_policy: 'mutual_tls',
  };
  for (const [workload, labels] of [
    ['caller-0', source],
    ['echo-0', destination],
  ] as const)
    for (const [name, value] of [
      ['connections_opened', 2],
      ['connections_closed', 2],
      ['received_bytes', 10],
      ['sent_bytes', 10],
    ] as const)
      await waitFor(`${name} of ${workload}`, async () => {
        const all = await found(workload, `istio_tcp_${name}_total`, { destination_service: host('echo') });
        if (!all.some((one) => one.value >= value)) throw new Error(JSON.stringify(all));
        return true;
      }).then(async () =>
        expect(await series(workload, `istio_tcp_${name}_total`)).toEqual([{ labels, value }]),
      );
});

test('HTTP: every label of Istio’s on both sides, by workload and not by pod; the application sees nothing of it', async () => {
  const outbound = port(`caller-0/outbound/${host('web')}:80`);
  for (let i = 0; i < 3; i++) expect(await get(outbound, spoofed)).not.toHaveProperty('x-ostria-peer');
  const common = { ...between('web', 'web-v2', 'v2'), request_protocol: 'http', response_code: '200' };
  const [source] = await found('caller-0', 'istio_requests_total', { destination_workload: 'web-v2' });
  expect(source).toEqual({
    labels: { ...common, reporter: 'source', connection_security_policy: 'unknown' },
    value: 3,
  });
  const [destination] = await found('web-v2-0', 'istio_requests_total', { source_workload: 'caller' });
  expect(destination).toEqual({
    labels: { ...common, reporter: 'destination', connection_security_policy: 'mutual_tls' },
    value: 3,
  });
  for (const name of ['istio_request_duration_milliseconds', 'istio_request_bytes', 'istio_response_bytes']) {
    // Histograms are filled by the next flush of statistics.
    const [count] = await waitFor(`${name} to be flushed`, async () => {
      const all = await found('web-v2-0', `${name}_count`, { source_workload: 'caller' });
      return all[0]?.value === 0 ? undefined : all;
    });
    expect(count).toEqual({ labels: destination?.labels, value: 3 });
  }
});

test('gRPC: its own protocol and its own status', async () => {
  const session = connectHttp2(`http://127.0.0.1:${port(`caller-0/outbound/${host('greeter')}:9000`)}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/g.G/Hi',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.resume().end();
  await new Promise((resolve, reject) => stream.on('close', resolve).on('error', reject));
  session.close();
  const common = {
    ...between('greeter', 'greeter', 'v1'),
    request_protocol: 'grpc',
    response_code: '200',
    grpc_response_status: '5',
  };
  for (const [workload, reporter, security] of [
    ['caller-0', 'source', 'unknown'],
    ['greeter-0', 'destination', 'mutual_tls'],
  ] as const)
    expect(
      await found(workload, 'istio_requests_total', {
        reporter,
        destination_workload: 'greeter',
        source_workload: 'caller',
      }),
    ).toEqual([{ labels: { ...common, reporter, connection_security_policy: security }, value: 1 }]);
});

test('from outside: the gateway is the source, whatever a client claims; without a certificate nobody is', async () => {
  expect(await get(port('istio-ingressgateway/gateway/80'), spoofed)).not.toHaveProperty('x-ostria-peer');
  const [byGateway] = await found('web-v2-0', 'istio_requests_total', {
    source_workload: 'istio-ingressgateway',
  });
  expect(byGateway?.labels).toMatchObject({
    connection_security_policy: 'mutual_tls',
    source_principal: 'spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account',
  });
  expect(await found('istio-ingressgateway', 'istio_requests_total', { reporter: 'source' })).toMatchObject([
    { labels: { source_workload: 'istio-ingressgateway', destination_workload: 'web-v2' }, value: 1 },
  ]);

  expect(await get(port('web-v2-0/inbound/80'), spoofed)).not.toHaveProperty('x-ostria-peer');
  const [stranger] = await found('web-v2-0', 'istio_requests_total', { connection_security_policy: 'none' });
  expect(stranger?.labels).toMatchObject({
    source_workload: 'unknown',
    source_principal: 'unknown',
    destination_principal: 'unknown',
    destination_workload: 'web-v2',
  });
  expect(
    (await series('web-v2-0', 'istio_requests_total')).map(({ labels }) => labels.source_workload),
  ).not.toContain('bank');
});

test('what leaves the mesh tells nobody who sent it', async () => {
  const outside = createServer({ keepAliveTimeout: 0 }, (incoming, response) =>
    response.end(JSON.stringify(incoming.headers)),
  );
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  try {
    const target = `127.0.0.1:${(outside.address() as AddressInfo).port}`;
    const seen = await get(port('caller-0/http-proxy'), { ...spoofed, host: target }, `http://${target}/`);
    expect(seen.host).toBe(target);
    expect(seen).not.toHaveProperty('x-ostria-peer');
    expect(
      await found('caller-0', 'istio_requests_total', { destination_service_name: 'PassthroughCluster' }),
    ).toMatchObject([
      { labels: { destination_service: 'unknown', destination_workload: 'unknown' }, value: 1 },
    ]);
  } finally {
    outside.close();
  }
});
