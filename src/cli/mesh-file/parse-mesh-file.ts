import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { isSeq, LineCounter, parseDocument } from 'yaml';
import { isTrustDomain } from '../../ca/spiffe.ts';
import { badRange } from '../../kit/guarded-fetch.ts';
import { reasonOf } from '../../kit/system-reason.ts';
import type { IpFamily } from '../../snapshot/proxy.ts';
import type { MeshFile, MeshFileProblem, MeshGateway, MeshHistory, MeshWorkload } from './mesh-file.ts';
import { NodeReader } from './node-reader.ts';
import { gatewayPortName, parseGatewayPorts } from './parse-ports.ts';
import { parseMapping, parseWorkload, type WorkloadContext } from './parse-workload.ts';

export type MeshFileResult =
  | { readonly ok: true; readonly mesh: MeshFile }
  | { readonly ok: false; readonly problems: readonly MeshFileProblem[] };

/** Ports of the gateway that a mesh has unless its file says otherwise. */
const defaultGatewayPorts = [80, 443, 8080];
const maxFileBytes = 1024 * 1024;

/** Reads a mesh file. Never throws for bad input: every problem is named with its place. */
export function readMeshFile(
  path: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): MeshFileResult {
  const absolute = resolve(path);
  let text: string;
  try {
    text = readFileSync(absolute, 'utf8');
  } catch (error) {
    const message =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'does not exist; give the path of a mesh file with -f'
        : `cannot be read: ${reasonOf(error)}`;
    return { ok: false, problems: [{ file: absolute, line: 1, column: 1, message }] };
  }
  return parseMeshFile(text, absolute, environment);
}

/** Reads the text of a mesh file that stands (or would stand) at `path`, which must be absolute. */
export function parseMeshFile(
  text: string,
  path: string,
  environment: Readonly<Record<string, string | undefined>>,
): MeshFileResult {
  if (text.length > maxFileBytes)
    return {
      ok: false,
      problems: [{ file: path, line: 1, column: 1, message: `is larger than ${maxFileBytes} bytes` }],
    };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' });
  const reader = new NodeReader(path, document, lines, environment);
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return {
        file: path,
        line,
        column: col,
        message:
          error.code === 'MULTIPLE_DOCS'
            ? 'describes one mesh, and here a second document begins; put objects of Istio and Kubernetes into a file of another name'
            : `is not YAML: ${error.message.replace(/ at line [\s\S]*/, '')}`,
      };
    });
    return { ok: false, problems };
  }
  const mesh = parseTop(reader, document.contents, path, { directory: dirname(path), environment });
  return mesh && reader.problems.length === 0 ? { ok: true, mesh } : { ok: false, problems: reader.problems };
}

function parseTop(
  reader: NodeReader,
  root: unknown,
  path: string,
  context: WorkloadContext,
): MeshFile | undefined {
  let name: string | undefined;
  let servicesNode: unknown = root;
  let workloads: MeshWorkload[] | undefined;
  let gateways: MeshGateway[] = [defaultGateway('istio-ingressgateway')];
  let apply: string[] = [];
  let allowFetch: string[] = [];
  let ipFamilies: readonly IpFamily[] = ['IPv4'];
  let lazy = false;
  let explainRefusals = true;
  let trustDomain = 'cluster.local';
  let history: MeshHistory = {};
  for (const { key, keyNode, value } of reader.entries(root, 'a mesh file') ?? []) {
    if (key === 'name') name = reader.label(value, 'name');
    else if (key === 'services') {
      servicesNode = value;
      workloads = (reader.entries(value, 'services') ?? []).flatMap((entry) => {
        reader.label(entry.keyNode, 'the name of a service', entry.key);
        return parseWorkload(reader, entry.key, entry.value, context) ?? [];
      });
    } else if (key === 'gateways')
      gateways = (reader.entries(value, 'gateways') ?? []).flatMap((entry) =>
        parseGateway(reader, entry.key, entry.value),
      );
    else if (key === 'lazy') lazy = reader.oneOf(value, 'lazy', ['true', 'false'] as const) === 'true';
    else if (key === 'explainRefusals')
      explainRefusals = reader.oneOf(value, 'explainRefusals', ['true', 'false'] as const) !== 'false';
    else if (key === 'trustDomain') trustDomain = parseTrustDomain(reader, value) ?? trustDomain;
    else if (key === 'history') history = parseHistory(reader, value);
    else if (key === 'apply') apply = parseApply(reader, value, context);
    else if (key === 'allowFetch') allowFetch = parseRanges(reader, value);
    else if (key === 'ipFamilies') ipFamilies = parseFamilies(reader, value);
    // Compose files carry a version, which their specification calls obsolete.
    else if (key !== 'version' && !key.startsWith('x-'))
      reader.problem(
        keyNode,
        `the key ${key} is unknown; known are allowFetch, apply, explainRefusals, gateways, history, ipFamilies, lazy, name, services, trustDomain, and x-…`,
      );
  }
  if (workloads === undefined) {
    if (reader.problems.length === 0)
      reader.problem(root, 'a mesh file needs services; list what to run under that key');
    return undefined;
  }
  checkDependencies(reader, servicesNode, workloads);
  checkServices(reader, servicesNode, workloads);
  return {
    path,
    name: name ?? directoryName(context.directory),
    lazy,
    explainRefusals,
    trustDomain,
    history,
    workloads,
    gateways,
    apply,
    allowFetch,
    ipFamilies,
  };
}

function parseTrustDomain(reader: NodeReader, node: unknown): string | undefined {
  const name = reader.text(node, 'trustDomain');
  if (name === undefined || isTrustDomain(name)) return name;
  reader.problem(
    node,
    `trustDomain ${name} is no trust domain: a host name in lower case such as prod.example`,
  );
  return undefined;
}

/** Largest values: a terabyte, a century, and what is counted exactly in any case. */
const historyRanges: Readonly<Record<keyof MeshHistory, number>> = {
  maxMiB: 1024 * 1024,
  maxDays: 36_500,
  maxChanges: 1_000_000_000,
};

function parseHistory(reader: NodeReader, node: unknown): MeshHistory {
  const found: { -readonly [K in keyof MeshHistory]: MeshHistory[K] } = {};
  for (const { key, keyNode, value } of reader.entries(node, 'history') ?? []) {
    if (!Object.hasOwn(historyRanges, key)) {
      reader.problem(
        keyNode,
        `history has the unknown key ${key}; known are ${Object.keys(historyRanges).join(', ')}`,
      );
      continue;
    }
    const name = key as keyof MeshHistory;
    const least = name === 'maxMiB' ? 0 : 1;
    const number = reader.integer(value, `history.${name}`, least, historyRanges[name]);
    if (number !== undefined) found[name] = number;
  }
  return found;
}

function parseRanges(reader: NodeReader, node: unknown): string[] {
  return (reader.items(node, 'allowFetch') ?? []).flatMap((item) => {
    const range = reader.text(item, 'a range');
    if (range === undefined) return [];
    if (badRange([range]) === undefined) return [range];
    reader.problem(item, `${range} is no range of addresses such as 127.0.0.0/8`);
    return [];
  });
}

function directoryName(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  return name === '' ? 'mesh' : name;
}

function defaultGateway(name: string): MeshGateway {
  return {
    name,
    namespace: 'istio-system',
    // What the selectors of Istio's samples ask for.
    labels: { app: name, istio: name.replace(/^istio-/, '') },
    serviceAccount: `${name}-service-account`,
    ports: defaultGatewayPorts.map((port) => ({ name: gatewayPortName(port), port })),
  };
}

function parseGateway(reader: NodeReader, name: string, node: unknown): MeshGateway[] {
  const defaults = defaultGateway(name);
  let gateway = defaults;
  for (const { key, keyNode, value } of reader.entries(node, `gateways.${name}`) ?? []) {
    if (key === 'namespace')
      gateway = { ...gateway, namespace: reader.label(value, 'namespace') ?? defaults.namespace };
    else if (key === 'labels')
      gateway = { ...gateway, labels: { ...gateway.labels, ...parseMapping(reader, value, 'labels') } };
    else if (key === 'serviceAccount')
      gateway = {
        ...gateway,
        serviceAccount: reader.label(value, 'serviceAccount') ?? defaults.serviceAccount,
      };
    else if (key === 'ports') gateway = { ...gateway, ports: parseGatewayPorts(reader, value) ?? [] };
    else if (!key.startsWith('x-'))
      reader.problem(
        keyNode,
        `gateways.${name} has the unknown key ${key}; known are labels, namespace, ports, serviceAccount`,
      );
  }
  return [gateway];
}

function parseFamilies(reader: NodeReader, node: unknown): readonly IpFamily[] {
  const found = (reader.items(node, 'ipFamilies') ?? []).flatMap(
    (item) => reader.oneOf(item, 'ipFamilies', ['IPv4', 'IPv6'] as const) ?? [],
  );
  if (found.length === 0 || new Set(found).size < found.length)
    reader.problem(node, 'ipFamilies must name IPv4, IPv6 or both, each once');
  return found;
}

function parseApply(reader: NodeReader, node: unknown, { directory }: WorkloadContext): string[] {
  const items = isSeq(node) ? (reader.items(node, 'apply') ?? []) : [node];
  return items.flatMap((item) => {
    const text = reader.text(item, 'apply');
    if (text === undefined) return [];
    const path = resolve(directory, text);
    if (existsSync(path)) return [path];
    reader.problem(item, `apply names ${path}, which does not exist`);
    return [];
  });
}

function checkDependencies(reader: NodeReader, node: unknown, workloads: readonly MeshWorkload[]): void {
  const byName = new Map(workloads.map((workload) => [workload.name, workload]));
  const names = new Set((reader.entries(node, 'services') ?? []).map(({ key }) => key));
  const done = new Set<string>();
  const visit = (workload: MeshWorkload, path: readonly string[]): void => {
    const cycle = path.indexOf(workload.name);
    if (cycle >= 0) {
      reader.problem(
        node,
        `depends_on goes in a circle: ${[...path.slice(cycle), workload.name].join(' → ')}; remove one of them`,
      );
      return;
    }
    if (done.has(workload.name)) return;
    for (const dependency of workload.dependsOn) {
      const target = byName.get(dependency.name);
      if (target) visit(target, [...path, workload.name]);
      else if (!names.has(dependency.name))
        reader.problem(
          node,
          `services.${workload.name} depends on ${dependency.name}, which is not there; known are ${[...names].join(', ')}`,
        );
    }
    done.add(workload.name);
  };
  for (const workload of workloads) visit(workload, []);
}

/** Workloads that share a service make one Kubernetes Service: their ports must agree. */
function checkServices(reader: NodeReader, node: unknown, workloads: readonly MeshWorkload[]): void {
  const first = new Map<string, MeshWorkload>();
  for (const workload of workloads) {
    const key = `${workload.namespace}/${workload.service}`;
    const other = first.get(key);
    if (!other) first.set(key, workload);
    else if (portsText(other) !== portsText(workload))
      reader.problem(
        node,
        `services.${other.name} and services.${workload.name} are both of service ${workload.service}, but their ports differ (${portsText(other)} and ${portsText(workload)}); make them equal`,
      );
  }
}

function portsText({ ports }: MeshWorkload): string {
  return ports.map(({ name, port }) => `${name} ${port}`).join(', ') || 'none';
}
