import { type CallField, callTag, splitCall } from '../kit/call-tag.ts';
import { readHost } from '../kit/told-host.ts';
import { decodeFacts, unknownFact, type WorkloadFacts } from '../kit/workload-facts.ts';

/*
 * Envoy's Prometheus text becomes Istio's: `envoy_<prefix>_istio_requests_total` is named `istio_requests_total`, its tag `call` is
 * taken apart into Istio's labels about the call and the other workload, and the labels that are the same for every series of a workload are
 * added here, since each tag that Envoy makes costs it time per request.
 */

type Labels = Readonly<Record<string, string>>;

export interface ConstantLabels {
  /** Added to series with `reporter="source"`. */
  source: Labels;
  /** Added to series with `reporter="destination"`. */
  destination: Labels;
}

const MAX_LINE = 64 * 1024;
/** Renamed series are held to be grouped by name, as the text format demands; more than this is cut off, and said so. */
const MAX_HELD = 8 << 20;
const BATCH = 16 * 1024;

const ENVOY_ISTIO = /^envoy_(?:[A-Za-z0-9_]*?_)?(istio_[A-Za-z0-9_]+)/;
const TYPE_LINE = /^# (TYPE|HELP) (\S+) ?(.*)$/;

/** The labels that Istio's standard metrics have about the workload that reports. `principal`: its SPIFFE id. */
export function constantLabels(facts: WorkloadFacts, principal: string): ConstantLabels {
  const about = (side: Side): Labels => ({ ...labelsOf(side, facts), [`${side}_principal`]: principal });
  return { source: about('source'), destination: about('destination') };
}

type Side = 'source' | 'destination';

function labelsOf(side: Side, facts: WorkloadFacts | undefined): Labels {
  return {
    [`${side}_workload`]: facts?.workload ?? unknownFact,
    [`${side}_workload_namespace`]: facts?.namespace ?? unknownFact,
    [`${side}_canonical_service`]: facts?.canonicalService ?? unknownFact,
    [`${side}_canonical_revision`]: facts?.canonicalRevision ?? unknownFact,
    [`${side}_app`]: facts?.app ?? unknownFact,
    [`${side}_version`]: facts?.version ?? unknownFact,
    [`${side}_cluster`]: facts?.cluster ?? unknownFact,
  };
}

/** Rewrites the text as it streams by. Series that keep their name pass through; memory stays bounded. */
export async function* rewriteMetrics(
  text: AsyncIterable<Buffer | string>,
  constants: ConstantLabels,
): AsyncGenerator<string> {
  const families = new Map<string, { type: string; lines: string[] }>();
  let held = 0;
  let cut = 0;
  let batch = '';
  let family: { base: string; lines: string[] } | undefined;

  function hold(line: string): void {
    held += line.length;
    const series = istioSeries(line, constants);
    if (held > MAX_HELD) cut++;
    else if (series !== undefined) family?.lines.push(series);
  }

  function take(line: string): void {
    const comment = line.startsWith('#') ? TYPE_LINE.exec(line) : undefined;
    const name = comment ? (comment[2] as string) : line;
    const renamed = ENVOY_ISTIO.exec(name)?.[1];
    if (!renamed) {
      family = undefined;
      batch += `${line}\n`;
      return;
    }
    if (comment) {
      if (comment[1] === 'TYPE') family = openFamily(families, renamed, comment[3] as string);
      return;
    }
    if (!family || !renamed.startsWith(family.base)) family = openFamily(families, renamed, 'untyped');
    hold(renamed + line.slice((ENVOY_ISTIO.exec(line)?.[0] ?? '').length));
  }

  for await (const line of lines(text)) {
    if (line === '' || line === '# EOF') continue;
    take(line);
    if (batch.length > BATCH) {
      yield batch;
      batch = '';
    }
  }
  yield batch;
  for (const [name, { type, lines: series }] of families)
    yield `# TYPE ${name} ${type}\n${series.length > 0 ? `${series.join('\n')}\n` : ''}`;
  if (cut > 0) yield `# TYPE ostria_agent_metrics_cut gauge\nostria_agent_metrics_cut ${cut}\n`;
}

function openFamily(
  families: Map<string, { type: string; lines: string[] }>,
  base: string,
  type: string,
): { base: string; lines: string[] } {
  let family = families.get(base);
  if (!family) {
    family = { type, lines: [] };
    families.set(base, family);
  }
  return { base, lines: family.lines };
}

const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g;
const SPIFFE_NAMESPACE = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//;
/** Clusters that stand for no service. */
const NO_SERVICE = /^(?:PassthroughCluster|BlackHoleCluster|InboundPassthroughCluster)$/;

/**
 * `name{a="b"} 1` with the labels that Istio has. A label that the series has wins over a constant one. undefined: another series tells more
 * of the same requests.
 */
function istioSeries(line: string, constants: ConstantLabels): string | undefined {
  const open = line.indexOf('{');
  const close = line.lastIndexOf('}');
  if (open < 0 || close < open) return line;
  const known = new Map<string, string>();
  for (const [, name = '', value = ''] of line.slice(open + 1, close).matchAll(LABEL))
    known.set(name, unescapeLabel(value));
  takeCall(known);
  const reporter = known.get('reporter');
  if (reporter !== 'source' && reporter !== 'destination') return line;
  const unrouted = known.delete('unrouted');
  if (reporter === 'source' && !unrouted && known.get('response_flags')?.split(',').includes('NR'))
    return undefined;
  for (const [name, value] of known)
    if ((value === '-' || value === '') && name !== 'response_flags') known.set(name, unknownFact);
  nameService(known);
  namePeer(known, reporter === 'source' ? 'destination' : 'source');
  for (const [name, value] of Object.entries(constants[reporter]))
    if (!known.has(name)) known.set(name, value);
  provePrincipals(known);
  const labels = [...known].map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return `${line.slice(0, open + 1)}${labels.join(',')}${line.slice(close)}`;
}

/** Labels that a call of a protocol has whatever Envoy knew of it. */
const always: Readonly<Record<string, readonly ('response_code' | 'grpc_response_status')[]>> = {
  http: ['response_code'],
  grpc: ['response_code', 'grpc_response_status'],
  tcp: [],
};

function takeCall(labels: Map<string, string>): void {
  const text = labels.get(callTag);
  if (text === undefined) return;
  labels.delete(callTag);
  const { principal, ...fields } = Object.fromEntries(splitCall(text)) as Partial<Record<CallField, string>>;
  const other: Side = fields.reporter === 'source' ? 'destination' : 'source';
  for (const [name, value] of Object.entries(fields)) labels.set(name, value);
  for (const name of always[fields.request_protocol ?? ''] ?? [])
    labels.set(name, fields[name] ?? unknownFact);
  labels.set('destination_service', fields.destination_service ?? unknownFact);
  labels.set(`${other}_principal`, principal ?? unknownFact);
}

/** `destination_service_name`, by the host: a Kubernetes service's first part, else the whole. */
function nameService(labels: Map<string, string>): void {
  const { host, namespace } = readHost(labels.get('destination_service') ?? unknownFact);
  if (labels.has('destination_service')) labels.set('destination_service', host);
  const [, name = host] = /^([^.]+)\.[^.]+\.svc\./.exec(host) ?? [];
  labels.set('destination_service_name', name);
  if (!labels.has('destination_service_namespace'))
    labels.set('destination_service_namespace', namespace ?? unknownFact);
  if (NO_SERVICE.test(host)) labels.set('destination_service', unknownFact);
}

/** What the endpoint or the caller's sidecar says of itself. The namespace that a certificate proves is not a matter of claims. */
function namePeer(labels: Map<string, string>, side: Side): void {
  const facts = decodeFacts(labels.get('peer') ?? '');
  labels.delete('peer');
  const proved = SPIFFE_NAMESPACE.exec(labels.get(`${side}_principal`) ?? '')?.[1];
  const credible = proved === undefined || facts === undefined || facts.namespace === proved;
  for (const [name, value] of Object.entries(labelsOf(side, credible ? facts : undefined)))
    labels.set(name, value);
  if (proved !== undefined) labels.set(`${side}_workload_namespace`, proved);
}

/** Where one side shows no certificate the other shows none either, whatever it has. */
function provePrincipals(labels: Map<string, string>): void {
  const names = ['source_principal', 'destination_principal'];
  const plain = labels.get('connection_security_policy') === 'none';
  if (plain || names.some((name) => labels.get(name) === unknownFact))
    for (const name of names) labels.set(name, unknownFact);
}

function unescapeLabel(value: string): string {
  return value.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

async function* lines(text: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of text) {
    const parts = (
      rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))
    ).split('\n');
    rest = parts.pop() as string;
    if (rest.length > MAX_LINE) throw new Error(`a line of metrics exceeds ${MAX_LINE} characters`);
    for (const part of parts) yield part.endsWith('\r') ? part.slice(0, -1) : part;
  }
  if (rest !== '') yield rest;
}
