import { expect, test } from 'vitest';
import { constantLabels, rewriteMetrics } from './metrics-merge.ts';

const labels = constantLabels({
  workload: 'reviews-v1-0',
  namespace: 'default',
  principal: 'spiffe://cluster.local/ns/default/sa/reviews',
  clusterId: 'Kubernetes',
  labels: { app: 'reviews', version: 'v1' },
});

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
    '{reporter="source",response_code="200",source_app="mine",source_workload="reviews-v1-0",',
  );
  expect(family).toContain('source_version="v1"');
  expect(family.match(/source_app=/g)).toHaveLength(1);
  expect(family).toContain('istio_requests_total{reporter="destination",destination_workload="reviews-v1-0"');
  expect(family).not.toMatch(/destination_workload.* 4/);
  expect(out).toMatch(
    /# TYPE istio_request_bytes histogram\nistio_request_bytes_bucket\{.*\} 1\nistio_request_bytes_sum\{.*\} 2\nistio_request_bytes_count\{.*\} 3\n/,
  );
});

test('where the chunks are cut makes no difference', async () => {
  const whole = await rewrite(envoy);
  for (const size of [1, 7, 64]) expect(await rewrite(envoy, size)).toBe(whole);
});

test('label values are escaped, odd lines pass, endless ones are an error', async () => {
  const hostile = constantLabels({
    workload: 'a"b\\c',
    namespace: 'n',
    principal: 'p',
    clusterId: 'c',
    labels: {},
  });
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
