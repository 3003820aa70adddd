import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import type { ConfigObject } from '../../src/config/object.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { type GoldenCase, goldenCases } from './golden-case.ts';
import type { ProxySpec } from './mesh.ts';

/** A small mesh, and who asks. */
export interface FieldCase {
  readonly name: string;
  readonly proxies: Readonly<Record<string, ProxySpec>>;
  readonly mesh: MeshConfig;
  readonly usage: GoldenCase['usage'];
  readonly objects: readonly ConfigObject[];
}

interface Header {
  readonly kind: 'GoldenCase';
  readonly proxies?: Readonly<Record<string, ProxySpec>>;
  readonly mesh?: Partial<MeshConfig>;
  /** Traffic policies: a case for each in each place that a DestinationRule has for one. */
  readonly policies?: readonly Readonly<Record<string, unknown>>[];
  /** Connection pools: likewise, in the places of a Sidecar. */
  readonly pools?: readonly Readonly<Record<string, unknown>>[];
}

/**
 * The cases of `fields/*.yaml`: what no golden sets. A document of kind GoldenCase begins a case; what stands before the first is part
 * of every case of the file.
 */
export function fieldCases(): FieldCase[] {
  const directory = join(import.meta.dirname, 'fields');
  return globSync('*.yaml', { cwd: directory })
    .sort()
    .flatMap((file) => casesOf(join(directory, file)));
}

function casesOf(file: string): FieldCase[] {
  const documents = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    if (document.errors[0]) throw new Error(`${file}: ${document.errors[0].message}`);
    return document.toJS() as ConfigObject | Header;
  });
  const shared: ConfigObject[] = [];
  const cases: { header: Header; own: ConfigObject[] }[] = [];
  for (const document of documents) {
    if (isHeader(document)) cases.push({ header: document, own: [] });
    else (cases.at(-1)?.own ?? shared).push(document);
  }
  return cases.flatMap(({ header, own }, index) =>
    variants(header).map((further, variant) => ({
      name: `${basename(file, '.yaml')} ${index + 1}.${variant + 1}`,
      proxies: header.proxies ?? { client: {} },
      mesh: { ...defaultMeshConfig, ...header.mesh },
      usage: {},
      objects: [...shared, ...own, ...further],
    })),
  );
}

function isHeader(document: ConfigObject | Header): document is Header {
  return document.kind === 'GoldenCase';
}

function variants({ policies, pools }: Header): ConfigObject[][] {
  if (policies) return policies.flatMap(rulesWith);
  if (pools) return pools.flatMap(sidecarsWith);
  return [[]];
}

/** Rules for the host `web` whose policy stands for all, for port 80, for a subset, for port 80 of a subset. */
function rulesWith(policy: Readonly<Record<string, unknown>>): ConfigObject[][] {
  const { tunnel: _, proxyProtocol: __, retryBudget: ___, ...ofPort } = policy;
  const forPort = { portLevelSettings: [{ port: { number: 80 }, ...ofPort }] };
  return [policy, forPort].flatMap((trafficPolicy) => [
    [object('DestinationRule', { host: 'web', trafficPolicy })],
    [
      object('DestinationRule', {
        host: 'web',
        subsets: [{ name: 'v1', labels: { app: 'web' }, trafficPolicy }],
      }),
    ],
  ]);
}

function sidecarsWith(connectionPool: Readonly<Record<string, unknown>>): ConfigObject[][] {
  const ports = [
    { number: 81, name: 'grpc', protocol: 'GRPC' },
    { number: 82, name: 'tcp', protocol: 'TCP' },
  ];
  const ingress = ports.map((port) => ({ port, defaultEndpoint: '127.0.0.1:8080' }));
  return [
    [object('Sidecar', { ingress, inboundConnectionPool: connectionPool })],
    [object('Sidecar', { ingress: ingress.map((one) => ({ ...one, connectionPool })) })],
  ];
}

function object(kind: string, spec: Readonly<Record<string, unknown>>): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name: 'made', namespace: 'default' },
    spec,
  };
}

/** Such a case as a golden that shows everything. */
export function asGolden({ name, proxies, mesh, usage, objects }: FieldCase): GoldenCase {
  const texts = objects.map((one) => stringify(one));
  const directory = join(import.meta.dirname, 'fields');
  return {
    name,
    directory,
    proxies,
    mesh,
    usage,
    objects: texts,
    show: ['.*'],
    keep: undefined,
    slots: undefined,
  };
}

/** The goldens as such cases. */
export function goldensAsCases(root: string): FieldCase[] {
  return goldenCases(root).map(({ name, proxies, mesh, usage, objects }) => ({
    name,
    proxies,
    mesh,
    usage,
    objects: objects.flatMap((text) => parseYamlDocuments(text, name).objects.map((one) => one.object)),
  }));
}
