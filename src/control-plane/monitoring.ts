import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { AuthorityRing } from '../ca/authority-ring.ts';
import { getOrMake } from '../kit/maps.ts';
import { http } from '../kit/node-http.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import type { XdsCounter, XdsMetrics } from '../xds/metrics.ts';
import type { Address } from './options.ts';

export interface Monitoring {
  readonly xds: XdsMetrics;
  readonly port: () => number;
  /** What is not ready, by name; everything named here must report ready before `/readyz` says so. */
  setReady(part: string): void;
  /** What `/metrics` answers. */
  metrics(): Promise<{ readonly type: string; readonly text: string }>;
  start(address: Address): Promise<void>;
  stop(): Promise<void>;
}

/** ms between looks at the loop: what a blockage is told too long by, at most. Each wakes a process that has nothing to do. */
const loopLookMs = 20;

/** Metrics and health: the only thing that answers without authentication, and nothing in it tells of configuration. */
export function createMonitoring(
  engine: Engine,
  parts: readonly string[],
  ring: AuthorityRing | undefined,
): Monitoring {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: loopLookMs });
  const totals = new Map<XdsCounter, Map<string, number>>();
  new Counter({
    name: 'ostria_xds_events_total',
    help: 'xDS events by name and detail.',
    labelNames: ['event', 'detail'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [event, byDetail] of totals)
        for (const [detail, total] of byDetail) this.inc({ event, detail }, total);
    },
  });
  const gauges = new Gauge({
    name: 'ostria_xds',
    help: 'Streams, connections and proxies of the xDS server.',
    labelNames: ['what'],
    registers: [registry],
  });
  const compile = new Gauge({
    name: 'ostria_compile',
    help: 'Entries, cells and proxies of the incremental compile, and its present failures.',
    labelNames: ['what'],
    registers: [registry],
    collect() {
      const stats = engine.stats();
      this.set({ what: 'proxies' }, stats.proxies);
      this.set({ what: 'entries' }, stats.entries);
      this.set({ what: 'cells' }, stats.cells);
      this.set({ what: 'failures' }, engine.failures().length);
    },
  });
  void compile;
  const blocked = monitorEventLoopDelay({ resolution: loopLookMs });
  blocked.enable();
  new Gauge({
    name: 'ostria_event_loop_blocked_seconds',
    help: 'Longest time that the event loop was blocked since the last scrape.',
    registers: [registry],
    collect() {
      this.set(blocked.max / 1e9);
      blocked.reset();
    },
  });
  if (ring)
    new Gauge({
      name: 'ostria_ca_certificate_days_left',
      help: 'Days until a certificate of the authority ends (what: root, signing certificate, next …), and the first of the workloads’.',
      labelNames: ['what', 'subject'],
      registers: [registry],
      collect() {
        this.reset();
        const { chains, earliestEnd } = ring.status();
        for (const { what, subject, notAfter } of chains) this.set({ what, subject }, daysLeft(notAfter));
        if (earliestEnd) this.set({ what: 'workload', subject: '' }, daysLeft(earliestEnd));
      },
    });
  const missing = new Set(parts);
  let server: Server | undefined;
  return {
    xds: {
      // Several times for each response: the exporter's own counters hash their labels each time.
      add(counter, amount, label) {
        const byDetail = getOrMake(totals, counter, () => new Map<string, number>());
        byDetail.set(label, (byDetail.get(label) ?? 0) + amount);
      },
      set: (gauge, value) => gauges.set({ what: gauge }, value),
    },
    port: () => (server?.address() as AddressInfo | null)?.port ?? 0,
    setReady: (part) => missing.delete(part),
    metrics: async () => ({ type: registry.contentType, text: await registry.metrics() }),
    start(address) {
      server = http.createServer(async (request, response) => {
        const path = request.url?.split('?')[0];
        if (path === '/metrics') {
          response.setHeader('content-type', registry.contentType);
          response.end(await registry.metrics());
        } else if (path === '/healthz' || path === '/readyz') {
          const waiting = path === '/readyz' ? [...missing] : [];
          response.statusCode = waiting.length > 0 ? 503 : 200;
          response.end(waiting.length > 0 ? `waiting for ${waiting.join(', ')}\n` : 'ok\n');
        } else {
          response.statusCode = 404;
          response.end('not found\n');
        }
      });
      server.headersTimeout = 5_000;
      server.requestTimeout = 5_000;
      server.maxConnections = 100;
      return new Promise((resolve, reject) => {
        server?.once('error', reject);
        server?.listen(address.port, address.host, () => resolve());
      });
    },
    stop() {
      blocked.disable();
      return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
    },
  };
}

function daysLeft(end: Date): number {
  return (end.getTime() - Date.now()) / 86_400_000;
}
