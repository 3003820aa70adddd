import type { ConfigObject } from '../../src/config/object.ts';
import { impactOf } from '../../src/impact/impact.ts';
import { createModel } from '../../src/model/model.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { destinationRuleObject, namespaceOf, serviceObject, virtualServiceObject } from './compile-mesh.ts';
import { cpuMs, option } from './measure.ts';

const networking = 'networking.istio.io/v1';

/**
 * What `ostria plan` costs: services, half of them with a Deployment and a sidecar, a fifth with a VirtualService and a DestinationRule, and changes
 * of one VirtualService: its weights, and a route more. Then, each on a mesh that is compiled, changes that concern every proxy, with the time limit
 * that the command has. Prints JSON.
 *   node test/bench/plan.ts [--services 1000] [--proxies 500] [--namespaces 20] [--rounds 5] [--narrow]
 */
const services = option('services', 1000);
const size = { services, namespaces: option('namespaces', 20) };
const proxies = option('proxies', 500);
const rounds = option('rounds', 5);

function deployment(i: number, version: string): ConfigObject {
  const labels = { app: `svc${i}`, version };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: `svc${i}-${version}`, namespace: namespaceOf(i, size) },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { serviceAccountName: `svc${i}`, containers: [{ name: 'app' }] },
      },
    },
  };
}

const objects = Array.from({ length: services }, (_, i) => [
  serviceObject(i, size),
  ...(i < proxies ? [deployment(i, 'v1')] : []),
  ...(i % 5 === 0 ? [virtualServiceObject(i, size, 50), destinationRuleObject(i, size, 100)] : []),
]).flat();

function withRoute(i: number, round: number): ConfigObject {
  const object = virtualServiceObject(i, size, 90 - round) as ConfigObject & {
    spec: { http: object[]; hosts: string[] };
  };
  const match = [{ uri: { prefix: `/new${round}` }, headers: { 'x-user': { regex: '(ann|bob)-[0-9]+' } } }];
  const route = [{ destination: { host: object.spec.hosts[0], subset: 'v1' } }];
  return {
    ...object,
    spec: { ...object.spec, http: [{ match, timeout: '3s', route }, ...object.spec.http] },
  };
}

const begun = performance.now();
const before = createModel(
  objects.map((object) => ({ object })),
  { roots: roots.collections },
);
const made = performance.now() - begun;
const times: number[] = [];
const report: Record<string, unknown> = {};
const cpu = cpuMs();
for (let round = 0; round < rounds; round++) {
  const start = performance.now();
  const after = before.update({ objects: [{ object: withRoute(5 * (round + 1), round) }] });
  const impact = impactOf(before, after);
  times.push(Math.round(performance.now() - start));
  Object.assign(report, {
    classes: impact.changed.length,
    examined: Math.round(impact.examined),
    proxiesTouched: impact.touched.proxies.length,
    cuts: impact.cuts.length,
  });
}
const cpuMsPerPlan = Math.round((cpuMs() - cpu) / rounds);

const inRoot = (kind: string, spec: object): ConfigObject => ({
  apiVersion: 'security.istio.io/v1',
  kind,
  metadata: { name: 'wide', namespace: 'istio-system' },
  spec,
});
const wide: Readonly<Record<string, readonly ConfigObject[]>> = {
  peerAuthentication: [inRoot('PeerAuthentication', { mtls: { mode: 'STRICT' } })],
  authorizationPolicy: [
    inRoot('AuthorizationPolicy', {
      action: 'DENY',
      rules: [{ to: [{ operation: { methods: ['DELETE'], paths: ['/admin/*'] } }] }],
    }),
  ],
  meshConfig: [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: 'outboundTrafficPolicy: { mode: REGISTRY_ONLY }' },
    },
  ],
  sidecarsOff: [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespaceOf(0, size), labels: { 'istio-injection': 'disabled' } },
    },
  ],
  sidecarScope: [
    {
      apiVersion: networking,
      kind: 'Sidecar',
      metadata: { name: 'default', namespace: 'istio-system' },
      spec: { egress: [{ hosts: ['./*'] }] },
    },
  ],
};
const only = process.argv.includes('--narrow') ? [] : Object.entries(wide);
const ofAll = only.map(([name, put]) => {
  const start = performance.now();
  const cpuStart = cpuMs();
  const after = before.update({ objects: put.map((object) => ({ object })) });
  const impact = impactOf(before, after, { timeMs: 30_000, now: () => performance.now() });
  return [
    name,
    {
      ms: Math.round(performance.now() - start),
      cpuMs: Math.round(cpuMs() - cpuStart),
      classes: impact.changed.length,
      examined: Math.round(impact.examined),
      proxiesTouched: impact.touched.proxies.length,
      cuts: impact.cuts,
    },
  ];
});
console.log(
  JSON.stringify({
    services,
    proxies: before.workloads.size,
    modelMs: Math.round(made),
    // The first compiles the mesh, as a command does that starts afresh.
    firstMs: times[0],
    laterMs: times.slice(1),
    cpuMsPerPlan,
    ...report,
    wide: Object.fromEntries(ofAll),
    memoryMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
  }),
);
