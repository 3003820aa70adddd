import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCompiledMesh } from '../support/compiled-mesh.ts';
import { call, parseEcho, startEcho } from '../support/http-echo.ts';
import { freePorts } from '../support/ports.ts';
import type { CaseOutcome } from './group.ts';

interface TrafficCall {
  name: string;
  call: { port: string; path?: string; followRedirects?: boolean };
  expect: {
    status: number;
    hostAtBackend?: string;
    urlAtBackend?: string;
    requestHeadersAtBackend?: Record<string, string>;
  };
}

interface TrafficCase {
  name: string;
  config: string;
  target: string;
  calls: TrafficCall[];
}

/** How long an answer may take to become the recorded one after its configuration was pushed, in ms. */
const patienceMs = 30_000;
const mostRedirects = 3;

/** `routing/traffic-cases.json`: requests through a real Envoy sidecar to a real backend. */
export async function runTrafficCases(directory: string): Promise<CaseOutcome[]> {
  const path = join(directory, 'routing', 'traffic-cases.json');
  if (!existsSync(path)) return [];
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: TrafficCase[] };
  const [outbound = 0, application = 0] = await freePorts(2);
  const backend = await startEcho('v1', application);
  const mesh = await startCompiledMesh(serverService(application));
  try {
    await mesh.envoy({
      metadata: {
        OSTRIA_CAPTURE: {
          outbound: { 'server.default.svc.cluster.local:80': outbound },
          inbound: [],
          httpProxy: 0,
        },
      },
    });
    const outcomes: CaseOutcome[] = [];
    for (const recorded of cases) {
      mesh.apply(recorded.config);
      outcomes.push(await runCase(recorded, outbound));
    }
    return outcomes;
  } finally {
    await mesh.stop();
    backend.close();
  }
}

/** The target, without a sidecar of its own. */
function serverService(port: number): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {clusterIP: 10.1.0.1, selector: {app: server}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: server}
spec: {address: 127.0.0.1, labels: {app: server}, ports: {http: ${port}}}
`;
}

async function runCase({ name, calls }: TrafficCase, port: number): Promise<CaseOutcome> {
  for (const recorded of calls) {
    const until = performance.now() + patienceMs;
    let why: string | undefined;
    do {
      why = await differenceOf(recorded, port).catch((error: Error) => error.message);
      if (why !== undefined) await sleep(50);
    } while (why !== undefined && performance.now() < until);
    if (why !== undefined) return { name, outcome: 'failed', why };
  }
  return { name, outcome: 'passed' };
}

async function differenceOf(
  { call: recorded, expect }: TrafficCall,
  port: number,
): Promise<string | undefined> {
  // A fragment stays in the client.
  let path = (recorded.path ?? '/').replace(/#.*$/, '');
  let answer = await call(port, path, { host: 'server' });
  for (
    let i = 0;
    recorded.followRedirects && answer.headers.location !== undefined && i < mostRedirects;
    i++
  ) {
    const target = new URL(String(answer.headers.location), 'http://server');
    path = `${target.pathname}${target.search}`;
    answer = await call(port, path, { host: 'server' });
  }
  if (answer.status !== expect.status) return `status ${answer.status}, recorded ${expect.status}`;
  if (!expect.hostAtBackend && !expect.urlAtBackend && !expect.requestHeadersAtBackend) return undefined;
  const seen = parseEcho(answer);
  if (expect.hostAtBackend !== undefined && seen.host !== expect.hostAtBackend)
    return `the backend saw host ${seen.host}, recorded ${expect.hostAtBackend}`;
  if (expect.urlAtBackend !== undefined && seen.path !== expect.urlAtBackend)
    return `the backend saw ${seen.path}, recorded ${expect.urlAtBackend}`;
  for (const [name, value] of Object.entries(expect.requestHeadersAtBackend ?? {}))
    if (seen.headers[name.toLowerCase()] !== value)
      return `the backend saw ${name}: ${seen.headers[name.toLowerCase()]}, recorded ${value}`;
  return undefined;
}
