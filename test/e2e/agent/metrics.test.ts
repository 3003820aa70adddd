import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createWorkload,
  inboundResources,
  outboundResources,
  type TestWorkload,
} from '../../support/agent.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';
import { freePorts } from '../../support/ports.ts';
import { waitFor } from '../../support/wait-for.ts';

let controlPlane: FakeControlPlane;
let application: Server;
const workloads: TestWorkload[] = [];

beforeAll(async () => {
  controlPlane = await startFakeControlPlane();
  application = createServer({ keepAliveTimeout: 0 }, (_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  await Promise.all(workloads.map((workload) => workload.cleanUp()));
  application.closeAllConnections();
  application.close();
  await controlPlane?.close();
});

/** Istio's standard metrics by Envoy's stats logger, as the telemetry feature sends them. */
const statsLogger = (reporter: string) => {
  const tags = [
    { name: 'reporter', valueFormat: reporter },
    { name: 'response_code', valueFormat: '%RESPONSE_CODE%' },
  ];
  return {
    name: 'envoy.access_loggers.stats',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config',
      statPrefix: reporter,
      counters: [{ stat: { name: 'istio_requests_total', tags }, valueFixed: 1 }],
      histograms: [
        {
          stat: { name: 'istio_request_duration_milliseconds', tags },
          unit: 'Milliseconds',
          valueFormat: '%DURATION%',
        },
      ],
    },
  };
};

test('the request metrics of a real Envoy come out with Istio’s names and the workload’s labels', async () => {
  const [out = 0, inbound = 0] = await freePorts(2);
  void controlPlane.script(
    'reviews-1',
    inboundResources(inbound, (application.address() as AddressInfo).port),
  );
  void controlPlane.script(
    'productpage-1',
    outboundResources(out, inbound, 'reviews', {
      accessLog: [statsLogger('source'), statsLogger('destination')],
    }),
  );
  const reviews = await createWorkload(controlPlane, 'reviews');
  const productpage = await createWorkload(controlPlane, 'productpage');
  workloads.push(reviews, productpage);
  await Promise.all(workloads.map((workload) => workload.start()));
  await Promise.all(workloads.map((workload) => workload.ready()));
  for (let i = 0; i < 7; i++) expect((await fetch(`http://127.0.0.1:${out}/`)).status).toBe(200);
  const scrape = async () =>
    (await fetch(`http://127.0.0.1:${productpage.ports.metrics}/stats/prometheus`)).text();
  const text = await waitFor('histograms to be flushed', async () => {
    const now = await scrape();
    return /duration_milliseconds_count\{[^}]*\} 7/.test(now) ? now : undefined;
  });
  expect(controlPlane.rejections).toEqual([]);
  const series = text.split('\n').filter((line) => line.startsWith('istio_requests_total'));
  expect(series).toHaveLength(2);
  const source = series.find((line) => line.includes('reporter="source"'));
  expect(source).toMatch(/ 7$/);
  for (const label of [
    'response_code="200"',
    'source_workload="productpage-1"',
    'source_workload_namespace="default"',
    'source_principal="spiffe://cluster.local/ns/default/sa/productpage"',
    'source_app="productpage"',
    'source_version="v1"',
    'source_canonical_service="productpage"',
  ])
    expect(source).toContain(label);
  expect(text.match(/^# TYPE istio_requests_total counter$/gm)).toHaveLength(1);
  expect(text.match(/^# TYPE istio_request_duration_milliseconds histogram$/gm)).toHaveLength(1);
  expect(text).not.toMatch(/envoy_\w*istio_/);
});
