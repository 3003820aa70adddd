import { create, toBinary } from '@bufbuild/protobuf';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { silentLog } from '../../src/kit/silent-log.ts';
import { type Resource, type ResourceHints, typeUrls } from '../../src/snapshot/resource.ts';
import type { Authenticate } from '../../src/xds/authenticate.ts';
import type { DebugService } from '../../src/xds/debug-stream.ts';
import { createLedger, type Ledger } from '../../src/xds/ledger.ts';
import { defaultLimits, type XdsLimits } from '../../src/xds/limits.ts';
import { createXdsServer, type XdsListener, type XdsServer } from '../../src/xds/server.ts';
import { makeResource, ScriptedSource } from './scripted-source.ts';

export interface Harness {
  readonly source: ScriptedSource;
  readonly server: XdsServer;
  readonly ledger: Ledger;
  readonly port: number;
  /** Counter name and label → value. */
  readonly counters: ReadonlyMap<string, number>;
}

export interface HarnessOptions {
  readonly resources?: readonly Resource[];
  readonly limits?: Partial<XdsLimits>;
  readonly authenticate?: Authenticate;
  readonly listeners?: readonly XdsListener[];
  /** Of the ledger: see there. */
  readonly goneGraceMs?: number;
  /** Istio's debug types: made of the server's own source and ledger. */
  readonly debug?: (source: ScriptedSource, ledger: Ledger) => DebugService;
}

/** A server over a scripted source on a free port. */
export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const source = new ScriptedSource(options.resources);
  const ledger = createLedger(options.goneGraceMs === undefined ? {} : { goneGraceMs: options.goneGraceMs });
  const counters = new Map<string, number>();
  const server = createXdsServer({
    source,
    ledger,
    authenticate: options.authenticate ?? (() => ({ ok: true, identity: undefined })),
    listeners: options.listeners ?? [{ name: 'plaintext', host: '127.0.0.1', port: 0 }],
    // A slow test must not count as a slow client: what is about the pace asks for it.
    limits: { removalGraceMs: 150, pace: { ...defaultLimits.pace, maxMs: 0 }, ...options.limits },
    log: silentLog,
    ...(options.debug ? { debug: options.debug(source, ledger) } : {}),
    metrics: {
      add: (counter, amount, label) => {
        counters.set(`${counter} ${label}`, (counters.get(`${counter} ${label}`) ?? 0) + amount);
      },
      set: () => undefined,
    },
  });
  await server.start();
  const port = [...server.ports.values()][0] ?? 0;
  return { source, server, ledger, port, counters };
}

/** Resources with bodies that are text, for tests in which no Envoy reads them. */
export const fake = {
  cluster: (name: string, body = '', hints: ResourceHints = { eds: true }): Resource =>
    makeResource(typeUrls.cluster, name, `cluster ${name} ${body}`, hints),
  endpoints: (name: string, body = ''): Resource =>
    makeResource(typeUrls.endpoints, name, `endpoints ${name} ${body}`),
  listener: (name: string, body = ''): Resource =>
    makeResource(typeUrls.listener, name, `listener ${name} ${body}`),
  secret: (name: string, body = ''): Resource =>
    makeResource(typeUrls.secret, name, `secret ${name} ${body}`),
  /** A real RouteConfiguration: the server looks whether it has VHDS. */
  route: (name: string, options: { vhds?: boolean; clusters?: string[] } = {}): Resource =>
    makeResource(
      typeUrls.route,
      name,
      toBinary(
        RouteConfigurationSchema,
        create(RouteConfigurationSchema, {
          name,
          ...(options.vhds === false
            ? {}
            : { vhds: { configSource: { configSourceSpecifier: { case: 'ads', value: {} } } } }),
        }),
      ),
      options.clusters ? { clusters: options.clusters } : undefined,
    ),
  host: (name: string, body = '', clusters: string[] = []): Resource =>
    makeResource(typeUrls.virtualHost, name, `host ${name} ${body}`, { clusters }),
};
