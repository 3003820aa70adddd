import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { createAdmitObject } from '../../src/control-plane/admit-object.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { makeProxy, nodeId, type ProxySpec } from '../golden/mesh.ts';
import { type MeshEnvoys, rejectedUpdates, startMeshEnvoys } from '../support/compiled-mesh.ts';
import { FixedSource, withListenersOnLoopback } from '../support/fixed-source.ts';
import { worldOfYaml } from '../support/mesh-world.ts';
import type { CaseOutcome } from './group.ts';

const mesh = {
  ...defaultMeshConfig,
  extensionProviders: [
    ...['sample-ext-authz-http', 'ext-authz-http'].map((name) => ({
      name,
      envoyExtAuthzHttp: { service: 'ext-authz.foo.svc.cluster.local', port: 8000 },
    })),
    {
      name: 'sample-ext-authz-grpc',
      envoyExtAuthzGrpc: { service: 'ext-authz.foo.svc.cluster.local', port: 9000 },
    },
  ],
} as unknown as typeof defaultMeshConfig;

/** Who asks: a sidecar, and an ingress gateway that also serves Gateway API Gateways of the samples' names. */
const proxies: readonly ProxySpec[] = [
  { name: 'client', labels: { app: 'productpage' } },
  {
    name: 'ingress',
    namespace: 'istio-system',
    type: 'router',
    labels: { app: 'istio-ingressgateway', istio: 'ingressgateway' },
  },
  {
    name: 'front',
    type: 'router',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'bookinfo-gateway', istio: 'egressgateway' },
  },
];

/** Every YAML file of `samples`: its objects pass the admission, compile without a failure, and real Envoys take what comes of them. */
export async function runSamples(folder: string): Promise<CaseOutcome[]> {
  const directory = join(folder, 'samples');
  const files = globSync('**/*.{yaml,yml}', { cwd: directory }).sort();
  const source = new FixedSource();
  const envoys = await startMeshEnvoys(source);
  const seen = new Set<string>();
  try {
    const outcomes: CaseOutcome[] = [];
    for (const file of files) outcomes.push(await runFile(directory, file, { source, envoys, seen }));
    return outcomes;
  } finally {
    await envoys.stop();
  }
}

interface Bench {
  readonly source: FixedSource;
  readonly envoys: MeshEnvoys;
  /** Sets of resources that were taken already: many samples have nothing to say to a proxy. */
  readonly seen: Set<string>;
}

async function runFile(directory: string, file: string, bench: Bench): Promise<CaseOutcome> {
  const text = readFileSync(join(directory, file), 'utf8');
  if (/\{\{-? /.test(text)) return { name: file, outcome: 'skipped', why: 'a Helm template, not YAML' };
  const objects = parseAllDocuments(text).flatMap(
    (document) => (document.toJS() as ConfigObject | null) ?? [],
  );
  const foreign = objects.find((object) => !object.apiVersion || !object.kind || !object.metadata?.name);
  if (foreign) return { name: file, outcome: 'skipped', why: 'settings of a tool, not an object' };
  const verdicts = admitAll(objects);
  const strange = verdicts.find(({ known }) => !known);
  if (strange) return { name: file, outcome: 'skipped', why: `${strange.kind} is of nobody's here` };
  const errors = verdicts.flatMap((verdict) => verdict.errors);
  if (errors.length > 0) return { name: file, outcome: 'failed', why: errors.join('; ') };
  const problems: string[] = [];
  for (const [index, spec] of proxies.entries())
    problems.push(...(await load(objects, { ...spec, name: `${spec.name}-${index}` }, bench)));
  return problems.length > 0
    ? { name: file, outcome: 'failed', why: problems.join('; ') }
    : { name: file, outcome: 'passed' };
}

/** Objects whose kind a CustomResourceDefinition of the same file defines are somebody's. */
function admitAll(objects: readonly ConfigObject[]) {
  const kinds = createBuiltInRegistry();
  const admit = createAdmitObject(kinds);
  return objects.map((object) => {
    const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '';
    const known = kinds.byKind(group, object.kind) !== undefined;
    const placed = { ...object, metadata: { namespace: 'default', ...object.metadata } };
    const isNamespaced = kinds.byKind(group, object.kind)?.namespaced === true;
    const issues = known ? admit(isNamespaced ? placed : object).issues : [];
    const errors = issues
      .filter(({ severity }) => severity === 'error')
      .map(({ path, message }) => `${object.kind} ${object.metadata.name}: ${path}: ${message}`);
    return { known, kind: `${group}/${object.kind}`, errors };
  });
}

async function load(
  objects: readonly ConfigObject[],
  spec: ProxySpec,
  { source, envoys, seen }: Bench,
): Promise<string[]> {
  const problems: string[] = [];
  const world = worldOfYaml(
    objects.map((object) => stringify(object)),
    mesh,
  );
  const made = rebuild(world, mesh, makeProxy(spec), roots.collections, {
    onFailure: ({ error }) => problems.push(String(error)),
  });
  const versions = [...made.values()].flatMap((all) => [...all.values()].map(({ version }) => version));
  const id = `${spec.type} ${versions.sort().join()}`;
  if (problems.length > 0 || seen.has(id)) return problems;
  seen.add(id);
  source.byProxy.set(nodeId(spec), withListenersOnLoopback(made));
  const before = envoys.refusals.length;
  const envoy = await envoys.envoy(spec);
  try {
    if ((await rejectedUpdates(envoy)) > 0 || envoys.refusals.length > before)
      problems.push(`refused by ${spec.name}: ${envoys.refusals.slice(before).join().slice(0, 500)}`);
  } finally {
    await envoy.stop();
  }
  return problems;
}
