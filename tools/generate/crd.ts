import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { kebabCase, typesOf } from './crd-types.ts';

type Json = { [key: string]: unknown };

interface SourceVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  schema: { openAPIV3Schema: Json };
  additionalPrinterColumns?: Json[];
  subresources?: { status?: Json; scale?: Json };
}

interface SourceCrd {
  kind: string;
  spec: {
    group: string;
    scope: string;
    names: {
      kind: string;
      plural: string;
      singular?: string;
      shortNames?: string[];
      categories?: string[];
    };
    versions: SourceVersion[];
  };
}

/** Writes gen/crd: one JSON file per kind, an index of them, and TypeScript types of each kind's spec and status. */
export function generateCrds(root: string): number {
  const istio = moduleDir(join(root, 'tools/generate/proto'), 'istio.io/api');
  const gatewayApi = moduleDir(join(root, 'tools/generate/crd'), 'sigs.k8s.io/gateway-api');
  const crds = readCrds(join(istio, 'kubernetes/customresourcedefinitions.gen.yaml'));
  // The experimental channel holds every kind and field of the standard one, and those on which the conformance suite has cases
  // beyond it (retry, session persistence): what is not acted on says so in its status.
  const channel = readFolder(join(gatewayApi, 'config/crd/experimental'));
  const all = [...crds, ...channel].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  write(join(root, 'gen/crd'), all);
  return all.length;
}

function moduleDir(folder: string, module: string): string {
  const text = execFileSync('go', ['mod', 'download', '-json', module], { cwd: folder, encoding: 'utf8' });
  return (JSON.parse(text) as { Dir: string }).Dir;
}

function readFolder(folder: string): SourceCrd[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) => readCrds(join(folder, file)));
}

function readCrds(file: string): SourceCrd[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => document.toJS() as SourceCrd | null)
    .filter((crd): crd is SourceCrd => crd?.kind === 'CustomResourceDefinition');
}

function nameOf(crd: SourceCrd): string {
  return `${crd.spec.names.plural}.${crd.spec.group}`;
}

function write(target: string, crds: SourceCrd[]): void {
  rmSync(target, { recursive: true, force: true });
  for (const folder of ['types/istio', 'types/gateway-api'])
    mkdirSync(join(target, folder), { recursive: true });
  for (const crd of crds) {
    writeFileSync(join(target, `${nameOf(crd)}.json`), `${JSON.stringify(condense(crd))}\n`);
    const folder = crd.spec.group.endsWith('istio.io') ? 'istio' : 'gateway-api';
    const version =
      crd.spec.versions.find((v) => v.name === 'v1') ?? crd.spec.versions.find((v) => v.storage);
    if (!version) throw new Error(`${nameOf(crd)} has no storage version`);
    const file = join(target, 'types', folder, `${kebabCase(crd.spec.names.kind)}.ts`);
    writeFileSync(file, typesOf(crd.spec.names.kind, version.schema.openAPIV3Schema));
  }
  const names = crds.map(nameOf);
  writeFileSync(join(target, 'index.js'), indexModule(names));
  writeFileSync(join(target, 'index.d.ts'), indexTypes);
}

/** Versions of one kind mostly share their schema: each is kept once, `schema` is its index in `schemas`. */
function condense({ spec }: SourceCrd): Json {
  const schemas: string[] = [];
  const versions = spec.versions.map((version) => {
    const text = JSON.stringify(withoutDescriptions(version.schema.openAPIV3Schema));
    if (!schemas.includes(text)) schemas.push(text);
    return {
      name: version.name,
      served: version.served,
      storage: version.storage,
      ...(version.deprecated === true && { deprecated: true }),
      printerColumns: (version.additionalPrinterColumns ?? []).map(({ description: _, ...column }) => column),
      statusSubresource: version.subresources?.status !== undefined,
      schema: schemas.indexOf(text),
    };
  });
  return {
    group: spec.group,
    kind: spec.names.kind,
    plural: spec.names.plural,
    singular: spec.names.singular ?? spec.names.kind.toLowerCase(),
    shortNames: spec.names.shortNames ?? [],
    categories: spec.names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    versions,
    schemas: schemas.map((text) => JSON.parse(text) as Json),
  };
}

/** A copy of a schema without its texts. A *property* named `description` stays. */
function withoutDescriptions(schema: unknown, properties = false): unknown {
  if (Array.isArray(schema)) return schema.map((item) => withoutDescriptions(item));
  if (typeof schema !== 'object' || schema === null) return schema;
  const out: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (!properties && (key === 'description' || key === 'externalDocs' || key === 'example')) continue;
    const verbatim = !properties && (key === 'default' || key === 'enum' || key.startsWith('x-kubernetes-'));
    out[key] = verbatim ? value : withoutDescriptions(value, !properties && key === 'properties');
  }
  return out;
}

function indexModule(names: string[]): string {
  const imports = names.map((name, i) => `import crd${i} from './${name}.json' with { type: 'json' };\n`);
  const list = names.map((_, i) => `crd${i}`).join(', ');
  return `// Generated by tools/generate; do not edit.\n${imports.join('')}\nexport const crds = [${list}];\n`;
}

const indexTypes = `// Generated by tools/generate; do not edit.
export interface GeneratedCrd {
  group: string;
  kind: string;
  plural: string;
  singular: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  versions: {
    name: string;
    served: boolean;
    storage: boolean;
    deprecated?: boolean;
    printerColumns: { name: string; type: string; jsonPath: string; format?: string; priority?: number }[];
    statusSubresource: boolean;
    /** Index into \`schemas\`. */
    schema: number;
  }[];
  schemas: { [key: string]: unknown }[];
}
export declare const crds: readonly GeneratedCrd[];
`;
