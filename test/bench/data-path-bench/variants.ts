import { TrafficDirection } from '../../../gen/proto/envoy/config/core/v3/base_pb.js';
import { parseAgentConfig } from '../../../src/agent/agent-config.ts';
import { buildBootstrap } from '../../../src/agent/envoy-bootstrap.ts';
import { roots } from '../../../src/pipeline/roots.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';
import { asIstioSends, decorateRoutes } from './istio-defaults.ts';
import {
  addInspectors,
  fullLabels,
  logEveryRequest,
  logNothing,
  overHttp1,
  traceOnePercent,
} from './long-chain.ts';
import { editManagers, patchedCollections, type ResourcePatch } from './patch-resources.ts';
import { tenPolicies } from './rbac.ts';

/** A way through two sidecars. */
export interface Variant {
  readonly name: string;
  readonly url: string;
  readonly envoys: readonly [client: TestEnvoy, server: TestEnvoy];
  /** Throws where an Envoy refused a resource, logged an error, or the requests did not travel as they should. */
  verify(requests: number): Promise<void>;
  stop(): Promise<void>;
}

const host = 'web.default.svc.cluster.local';
const collectorCluster = 'outbound|9411||zipkin.default.svc.cluster.local';

/** Every variant has these, so that the comparison is one of equals. */
export function addPolicies(listener: Parameters<NonNullable<ResourcePatch['listener']>>[0]): void {
  if (listener.trafficDirection !== TrafficDirection.INBOUND) return;
  editManagers(listener, (manager) => manager.httpFilters.splice(-1, 0, tenPolicies()));
}

/** How a variant's sidecars differ from those that we compile. */
export interface VariantPlan {
  readonly patch: ResourcePatch;
  /** What travels between the sidecars. */
  readonly http: 1 | 2;
  /** Further objects, as YAML documents. */
  readonly objects?: string;
}

/** Istio's defaults, in the ways that its users have them. */
interface Chain {
  readonly http: 1 | 2;
  /** `customary`: a line of text per request, and a collector of traces. `none`: as a default install has it. */
  readonly records: 'customary' | 'none';
  readonly labels: 'ours' | 'full';
}

function istioChain({ http, records, labels }: Chain): VariantPlan {
  return {
    http,
    patch: {
      listener(listener) {
        addPolicies(listener);
        addInspectors(listener);
        editManagers(listener, (manager) => {
          asIstioSends(manager, listener.trafficDirection);
          if (records === 'customary') {
            logEveryRequest(manager);
            traceOnePercent(manager, collectorCluster);
          } else logNothing(manager);
          if (labels === 'full') fullLabels(manager, listener.trafficDirection);
        });
      },
      routes: decorateRoutes,
      ...(http === 1 ? { cluster: overHttp1 } : {}),
    },
  };
}

const longChain = { records: 'customary', labels: 'ours' } as const;
const defaultChain = { records: 'none', labels: 'ours' } as const;

const withoutCallLog: typeof addPolicies = (listener) => {
  addPolicies(listener);
  editManagers(listener, logNothing);
};

export const variantPlans = {
  ours: { patch: { listener: addPolicies }, http: 2 },
  /** What the mesh's own record of failed calls costs calls that do not fail. */
  oursWithoutCallLog: { patch: { listener: withoutCallLog }, http: 2 },
  longChainHttp1: istioChain({ http: 1, ...longChain }),
  longChainHttp2: istioChain({ http: 2, ...longChain }),
  defaultChainHttp1: istioChain({ http: 1, ...defaultChain }),
  defaultChainHttp2: istioChain({ http: 2, ...defaultChain }),
  longChainHttp1FullLabels: istioChain({ http: 1, ...longChain, labels: 'full' }),
  longChainHttp2FullLabels: istioChain({ http: 2, ...longChain, labels: 'full' }),
} as const satisfies Record<string, VariantPlan>;

export type VariantName = keyof typeof variantPlans;

function meshYaml(inbound: number, collector: number): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.1.0.1
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-v1, labels: {app: web, version: v1}}
spec:
  address: 127.0.0.1
  ports: {http: ${inbound}}
  labels: {app: web, version: v1, security.istio.io/tlsMode: istio}
  serviceAccount: web
---
apiVersion: v1
kind: Service
metadata: {name: zipkin}
spec:
  clusterIP: 10.1.0.2
  selector: {app: zipkin}
  ports: [{name: http, port: 9411}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: zipkin, labels: {app: zipkin}}
spec:
  address: 127.0.0.1
  ports: {http: ${collector}}
  labels: {app: zipkin}
`;
}

/** The parts of the agent's bootstrap that reach the data path: statistics, limits, runtime. */
function agentBootstrap(): Record<string, unknown> {
  const parsed = parseAgentConfig({
    workload: 'bench',
    namespace: 'default',
    stateDirectory: '/nonexistent',
    controlPlane: { address: '127.0.0.1:15012', rootFile: '/nonexistent/root.pem' },
    credential: { joinTokenFile: '/nonexistent/token' },
    // Per connection, for `verify`: they cost requests nothing.
    envoy: {
      stats: {
        prefixes: [],
        suffixes: ['downstream_cx_http1_total', 'downstream_cx_http2_total'],
        regexps: [],
      },
    },
  });
  if (!parsed.ok) throw new Error(parsed.errors.join('; '));
  const {
    node: _node,
    admin: _admin,
    dynamic_resources: _dynamic,
    static_resources: _static,
    ...rest
  } = buildBootstrap(parsed.config, { adminSocket: '', sdsSocket: '' });
  return rest;
}

/** What an agent without further statistics tells of its Envoy. */
const toldByAgents = { OSTRIA_CODE_STATS: 'none' };

/** Under Valgrind, on a machine that has much else to do, an Envoy takes minutes to start. */
const timeoutMs = 300_000;

/** Compiles the mesh as ever, edits the resources as the variant asks, and starts its two Envoys with one worker each. */
export async function startVariant(
  name: string,
  plan: VariantPlan,
  appPort: number,
  collectorPort: number,
): Promise<Variant> {
  const [outbound = 0, inbound = 0] = await freePorts(2);
  const mesh = await startCompiledMesh(
    meshYaml(inbound, collectorPort) + (plan.objects ?? ''),
    { defaultMtlsMode: 'STRICT' },
    { collections: patchedCollections(name, roots.collections, plan.patch) },
  );
  const bootstrap = agentBootstrap();
  try {
    const client = await mesh.envoy(
      {
        metadata: {
          ...toldByAgents,
          OSTRIA_CAPTURE: { outbound: { [`${host}:80`]: outbound }, inbound: [], httpProxy: 0 },
        },
      },
      { bootstrap, timeoutMs },
    );
    const server = await mesh.envoy(
      {
        name: 'web-v1',
        labels: { app: 'web', version: 'v1' },
        metadata: {
          ...toldByAgents,
          OSTRIA_CAPTURE: {
            outbound: {},
            inbound: [{ servicePort: 80, listen: inbound, app: appPort }],
            httpProxy: 0,
          },
        },
      },
      { serviceAccount: 'web', bootstrap, timeoutMs },
    );
    return {
      name,
      url: `http://127.0.0.1:${outbound}/`,
      envoys: [client, server],
      verify: (requests) => verify(name, plan.http, mesh, [client, server], requests),
      stop: () => mesh.stop(),
    };
  } catch (error) {
    await mesh.stop();
    throw error;
  }
}

async function verify(
  name: string,
  http: 1 | 2,
  mesh: CompiledMesh,
  envoys: readonly TestEnvoy[],
  requests: number,
): Promise<void> {
  const problems = [...mesh.refusals];
  const [http1, http2] = await Promise.all(
    ['http1', 'http2'].map((version) =>
      (envoys[1] as TestEnvoy).stat(`http.inbound_80.downstream_cx_${version}_total`),
    ),
  );
  const wanted = http === 1 ? http1 : http2;
  if (!wanted || (http1 && http2))
    problems.push(`${http1} HTTP/1.1 and ${http2} HTTP/2 connections between sidecars`);
  for (const envoy of envoys) {
    const rejected = await rejectedUpdates(envoy);
    if (rejected > 0) problems.push(`${rejected} updates rejected`);
    const { body } = await envoy.admin('/stats/prometheus?filter=istio_requests_total');
    const counted = [...body.matchAll(/istio_requests_total\{[^}]*["|]200["|][^}]*\} (\d+)/g)].reduce(
      (sum, match) => sum + Number(match[1]),
      0,
    );
    if (counted < requests) problems.push(`${counted} of ${requests} requests counted`);
  }
  if (problems.length > 0) throw new Error(`${name}: ${problems.join('; ')}`);
}
