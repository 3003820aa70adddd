import { expect, test } from 'vitest';
import { joinCall } from '../kit/call-tag.ts';
import { workloadFacts } from '../kit/workload-facts.ts';
import { constantLabels, rewriteMetrics } from './metrics-merge.ts';

const labels = constantLabels(
  workloadFacts({
    name: 'reviews-v1-0',
    namespace: 'default',
    clusterId: 'Kubernetes',
    labels: { app: 'reviews', version: 'v1', 'service.istio.io/workload-name': 'reviews-v1' },
  }),
  'spiffe://cluster.local/ns/default/sa/reviews',
);

async function rewrite(text: string, chunk = text.length): Promise<string> {
  async function* chunks() {
    for (let at = 0; at < text.length; at += chunk) yield Buffer.from(text.slice(at, at + chunk));
  }
  let out = '';
  for await (const part of rewriteMetrics(chunks(), labels)) out += part;
  return out;
}

const envoy = `# TYPE envoy_server_live gauge
envoy_server_live{} 1
# TYPE envoy_out_istio_requests_total counter
envoy_out_istio_requests_total{reporter="source",response_code="200",source_app="mine"} 4
# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 9
# TYPE envoy_in_istio_requests_total counter
envoy_in_istio_requests_total{reporter="destination"} 5
# TYPE envoy_in_istio_request_bytes histogram
envoy_in_istio_request_bytes_bucket{reporter="destination",le="0.5"} 1
envoy_in_istio_request_bytes_sum{reporter="destination"} 2
envoy_in_istio_request_bytes_count{reporter="destination"} 3
`;

test('names, one family per name, constant labels that override nothing', async () => {
  const out = await rewrite(envoy);
  expect(out.split('\n').slice(0, 4)).toEqual([
    '# TYPE envoy_server_live gauge',
    'envoy_server_live{} 1',
    '# TYPE envoy_server_uptime gauge',
    'envoy_server_uptime{} 9',
  ]);
  const family = out.slice(
    out.indexOf('# TYPE istio_requests_total'),
    out.indexOf('# TYPE istio_request_bytes'),
  );
  expect(family.trim().split('\n')).toHaveLength(3);
  expect(family).toContain(
    '{reporter="source",response_code="200",source_app="mine",destination_service_name="unknown",',
  );
  expect(family).toContain('source_version="v1"');
  expect(family).toMatch(/reporter="source".*source_app="mine".* 4/);
  expect(family.match(/source_app="reviews"/g)).toBeNull();
  expect(family).toMatch(/reporter="source".*source_workload="reviews-v1",.* 4/);
  expect(family).toMatch(/reporter="destination".*destination_workload="reviews-v1",.* 5/);
  expect(family).toMatch(/destination_workload="unknown",.* 4/);
  expect(out).toMatch(
    /# TYPE istio_request_bytes histogram\nistio_request_bytes_bucket\{.*\} 1\nistio_request_bytes_sum\{.*\} 2\nistio_request_bytes_count\{.*\} 3\n/,
  );
});

test('where the chunks are cut makes no difference', async () => {
  const whole = await rewrite(envoy);
  for (const size of [1, 7, 64]) expect(await rewrite(envoy, size)).toBe(whole);
});

async function labelsOf(series: string): Promise<Record<string, string | undefined>> {
  const line = (await rewrite(`envoy_ostria_istio_requests_total{${series}} 1\n`)).split('\n')[1] ?? '';
  return Object.fromEntries(
    [...line.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value]) => [name, value]),
  );
}

test('the peer becomes Istio’s labels, at the source from the endpoint', async () => {
  expect(
    await labelsOf(
      'reporter="source",response_code="200",response_flags="-",destination_service="details.books.svc.cluster.local",destination_service_namespace="books",peer="details-v1;books;details;v1;east;;",destination_principal="spiffe://cluster.local/ns/books/sa/details"',
    ),
  ).toEqual({
    reporter: 'source',
    response_code: '200',
    response_flags: '-',
    source_workload: 'reviews-v1',
    source_workload_namespace: 'default',
    source_canonical_service: 'reviews',
    source_canonical_revision: 'v1',
    source_app: 'reviews',
    source_version: 'v1',
    source_cluster: 'Kubernetes',
    source_principal: 'spiffe://cluster.local/ns/default/sa/reviews',
    destination_service: 'details.books.svc.cluster.local',
    destination_service_name: 'details',
    destination_service_namespace: 'books',
    destination_workload: 'details-v1',
    destination_workload_namespace: 'books',
    destination_canonical_service: 'details',
    destination_canonical_revision: 'v1',
    destination_app: 'details',
    destination_version: 'v1',
    destination_cluster: 'east',
    destination_principal: 'spiffe://cluster.local/ns/books/sa/details',
  });
});

test('a claim that the certificate speaks against, or that is no claim, counts for nothing; the proved namespace stays', async () => {
  const principal = 'source_principal="spiffe://cluster.local/ns/shop/sa/web"';
  expect(await labelsOf(`reporter="destination",peer="web-v1;shop;web;v1",${principal}`)).toMatchObject({
    source_workload: 'web-v1',
    source_workload_namespace: 'shop',
  });
  for (const peer of ['bank-v1;bank;bank;v1', '-', 'a;b', ';;;;', 'x'.repeat(300), '1;2;3;4;5;6;7;8'])
    expect(await labelsOf(`reporter="destination",peer="${peer}",${principal}`)).toMatchObject({
      source_workload: 'unknown',
      source_app: 'unknown',
      source_workload_namespace: 'shop',
      source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    });
});

test('without a certificate neither side has a principal; unknown hosts are told by their cluster', async () => {
  expect(await labelsOf('reporter="destination",connection_security_policy="none"')).toMatchObject({
    source_principal: 'unknown',
    destination_principal: 'unknown',
    source_workload: 'unknown',
    destination_workload: 'reviews-v1',
  });
  expect(
    await labelsOf(
      'reporter="source",destination_service="PassthroughCluster",peer="-",destination_principal="-"',
    ),
  ).toMatchObject({
    destination_service: 'unknown',
    destination_service_name: 'PassthroughCluster',
    destination_principal: 'unknown',
    source_principal: 'unknown',
  });
});

test('label values are escaped, odd lines pass, endless ones are an error', async () => {
  const hostile = constantLabels(
    workloadFacts({ name: 'a"b\\c', namespace: 'n', clusterId: 'c', labels: {} }),
    'p',
  );
  let out = '';
  for await (const part of rewriteMetrics(
    (async function* () {
      yield 'envoy_x_istio_requests_total{reporter="source"} 1\nodd line\n# EOF\n';
    })(),
    hostile,
  ))
    out += part;
  expect(out).toContain('source_workload="a\\"b\\\\c"');
  expect(out).toContain('odd line\n');
  expect(out).not.toContain('# EOF');
  await expect(rewrite('x'.repeat(70_000))).rejects.toThrow(/exceeds/);
});

test('requests that no route took are counted once, under the service that they were for', async () => {
  const series = (more: string) =>
    `envoy_ostria_istio_requests_total{reporter="source",response_code="404",response_flags="NR"${more}} 3`;
  const out = await rewrite(
    [
      '# TYPE envoy_ostria_istio_requests_total counter',
      series(',destination_service="-",peer="-"'),
      series(',destination_service="details.shop.svc.cluster.local",unrouted="true"'),
      '',
    ].join('\n'),
  );
  const lines = out.split('\n').filter((line) => line.startsWith('istio_requests_total'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /destination_service="details\.shop\.svc\.cluster\.local".*destination_service_name="details",destination_service_namespace="shop"/,
  );
  expect(lines[0]).not.toContain('unrouted');
});

test('a call’s tag is taken apart; what Envoy did not know is unknown, what a protocol has not is left out', async () => {
  const call = (fields: Parameters<typeof joinCall>[0]) => labelsOf(`call="${joinCall(fields)}"`);
  const proved = { principal: 'spiffe://cluster.local/ns/books/sa/details' };
  const source = { reporter: 'source', request_protocol: 'http', connection_security_policy: 'unknown' };
  const service = {
    destination_service: 'details.example',
    destination_service_namespace: 'books',
    response_flags: '-',
  };
  const routed = await call({
    ...source,
    ...service,
    ...proved,
    response_code: '200',
    peer: 'details-v1;books;details;v1',
  });
  expect(routed).toMatchObject({
    ...source,
    ...service,
    response_code: '200',
    destination_workload: 'details-v1',
    destination_principal: proved.principal,
    source_workload: 'reviews-v1',
  });
  for (const name of ['call', 'peer', 'principal', 'unrouted', 'grpc_response_status'])
    expect(routed).not.toHaveProperty(name);

  const { destination_service_namespace, ...named } = service;
  expect(await call({ ...source, ...named, destination_service: 'details.example/books' })).toMatchObject({
    ...service,
    destination_service_name: 'details.example',
  });

  const tcp = await call({ ...source, ...service, ...proved, request_protocol: 'tcp' });
  expect(tcp).toMatchObject({ request_protocol: 'tcp', destination_service: 'details.example' });
  expect(tcp).not.toHaveProperty('response_code');

  expect(await call({ ...source, request_protocol: 'grpc', response_flags: 'UF' })).toMatchObject({
    response_code: 'unknown',
    grpc_response_status: 'unknown',
    response_flags: 'UF',
    destination_service: 'unknown',
    destination_service_namespace: 'unknown',
    destination_principal: 'unknown',
    destination_workload: 'unknown',
  });

  const missed = { ...source, response_code: '404', response_flags: 'NR' };
  expect(await call(missed)).toEqual({});
  const unrouted = await call({ ...missed, destination_service: 'a.b.svc.cluster.local', unrouted: 'true' });
  expect(unrouted).toMatchObject({ destination_service_namespace: 'b', destination_service_name: 'a' });
  expect(unrouted).not.toHaveProperty('unrouted');
});

test('a caller cannot say more of a call than who it is', async () => {
  const fields = {
    reporter: 'destination',
    request_protocol: 'http',
    connection_security_policy: 'mutual_tls',
    response_code: '403',
    response_flags: '-',
    destination_service: 'bank.default.svc.cluster.local',
    principal: 'spiffe://cluster.local/ns/shop/sa/web',
  };
  const told = await labelsOf(`call="${joinCall({ ...fields, peer: '|200||||bank|||a;b;c;d' })}"`);
  const { principal, ...stay } = fields;
  expect(told).toMatchObject({ ...stay, source_principal: principal, source_workload: 'unknown' });
});
