/*
 * Envoy's Prometheus text becomes Istio's: `envoy_<prefix>_istio_requests_total` is named `istio_requests_total`, and the labels that
 * are the same for every series of a workload are added here, since each label that Envoy formats costs it time per request.
 */

export interface ConstantLabels {
  /** Added to series with `reporter="source"`. */
  source: Readonly<Record<string, string>>;
  /** Added to series with `reporter="destination"`. */
  destination: Readonly<Record<string, string>>;
}

export interface WorkloadDescription {
  workload: string;
  namespace: string;
  /** SPIFFE id. */
  principal: string;
  clusterId: string;
  labels: Readonly<Record<string, string>>;
}

const MAX_LINE = 64 * 1024;
/** Renamed series are held to be grouped by name, as the text format demands; more than this is cut off, and said so. */
const MAX_HELD = 8 << 20;
const BATCH = 16 * 1024;

const ENVOY_ISTIO = /^envoy_(?:[A-Za-z0-9_]*?_)?(istio_[A-Za-z0-9_]+)/;
const TYPE_LINE = /^# (TYPE|HELP) (\S+) ?(.*)$/;

/** The labels that Istio's standard metrics have about the workload that reports. */
export function constantLabels(workload: WorkloadDescription): ConstantLabels {
  const { labels } = workload;
  const app = labels.app ?? 'unknown';
  const version = labels.version ?? 'unknown';
  const facts = {
    workload: workload.workload,
    workload_namespace: workload.namespace,
    principal: workload.principal,
    app,
    version,
    canonical_service:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels.app ??
      workload.workload,
    canonical_revision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels.version ??
      'latest',
    cluster: workload.clusterId,
  };
  const prefixed = (prefix: string) =>
    Object.fromEntries(Object.entries(facts).map(([name, value]) => [`${prefix}_${name}`, value]));
  return { source: prefixed('source'), destination: prefixed('destination') };
}

/** Rewrites the text as it streams by. Series that keep their name pass through; memory stays bounded. */
export async function* rewriteMetrics(
  text: AsyncIterable<Buffer | string>,
  constants: ConstantLabels,
): AsyncGenerator<string> {
  const families = new Map<string, { type: string; lines: string[] }>();
  const additions = {
    source: Object.entries(constants.source),
    destination: Object.entries(constants.destination),
  };
  let held = 0;
  let cut = 0;
  let batch = '';
  let family: { base: string; lines: string[] } | undefined;

  function hold(line: string): void {
    held += line.length;
    if (held > MAX_HELD) cut++;
    else family?.lines.push(addLabels(line, additions));
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

/** `name{a="b"} 1` or `name 1`; a label that the series has is left alone. */
function addLabels(line: string, additions: Record<'source' | 'destination', [string, string][]>): string {
  const open = line.indexOf('{');
  const close = line.lastIndexOf('}');
  if (open < 0 || close < open) return line;
  const labels = line.slice(open + 1, close);
  const reporter = /(?:^|,)reporter="(source|destination)"/.exec(labels)?.[1] as
    | 'source'
    | 'destination'
    | undefined;
  if (!reporter) return line;
  let more = '';
  for (const [name, value] of additions[reporter])
    if (!`,${labels}`.includes(`,${name}="`)) more += `,${name}="${escapeLabel(value)}"`;
  return `${line.slice(0, close)}${more}${line.slice(close)}`;
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
