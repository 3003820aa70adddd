import type { Issue } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import { messageOf } from '../kit/coded-error.ts';
import {
  type AnalysisView,
  type Analyzer,
  displayName,
  type Item,
  kindKey,
  kinds,
  type SourceObject,
} from './analyzer.ts';
import { assumedIngressGateway } from './assumed-objects.ts';
import type { Message } from './message.ts';
import { type MessageCode, messageCodes } from './message-codes.ts';
import { hasSoundShape, withoutNulls } from './sound-shape.ts';
import { isSuppressed, type Suppression } from './suppression.ts';

export interface AnalyzeOptions {
  readonly analyzers: readonly Analyzer[];
  /** What schema and rules say of an object; called once for each. */
  readonly judge: (object: ConfigObject) => readonly Issue[];
  readonly now: number;
  /** The objects are files alone: what every installation of Istio has, a gateway and an injector, is taken as given. */
  readonly assumeInstallation?: boolean;
  /** Default true. */
  readonly workloadsKnown?: boolean;
  readonly suppressions?: readonly Suppression[];
  /** Default `cluster.local`. */
  readonly domainSuffix?: string;
  /** Default `istio-system`. */
  readonly rootNamespace?: string;
}

/** Everything that the analyzers find, each once, in the order of the objects. An analyzer that fails is told (IST0001); the others go on. */
export function analyze(sources: readonly SourceObject[], options: AnalyzeOptions): Message[] {
  const items = sources.filter(({ object }) => isObject(object)).map(toItem);
  const order = new Map(items.map((item, index) => [item, index]));
  const found: { message: Message; at: number }[] = [];
  const assumed = options.assumeInstallation
    ? assumedIngressGateway().map((object) => toItem({ object }))
    : [];
  const index = indexItems([...items, ...assumed]);
  const issues = new Map<Item<unknown>, readonly Issue[]>();
  const issuesOf = (item: Item<unknown>): readonly Issue[] => {
    const known = issues.get(item) ?? options.judge(item.object);
    issues.set(item, known);
    return known;
  };
  const sound = new Map<string, readonly Item[]>();
  const wellFormed = (kind: string): readonly Item[] => {
    const known =
      sound.get(kind) ?? (index.get(kind) ?? []).filter((item) => !isMalformed(item, issuesOf(item)));
    sound.set(kind, known);
    return known;
  };
  const seen = new Set<string>();
  for (const analyzer of options.analyzers) {
    const report: AnalysisView['report'] = (code, item, text, path = '') => {
      const at = order.get(item as Item);
      if (at === undefined || isSuppressed(item, code, options.suppressions ?? [])) return;
      const message = createMessage(analyzer, code, item, text, path);
      const key = `${at} ${code} ${path} ${text}`;
      if (!seen.has(key)) found.push({ message, at });
      seen.add(key);
    };
    const view: AnalysisView = {
      domainSuffix: options.domainSuffix ?? 'cluster.local',
      rootNamespace: options.rootNamespace ?? 'istio-system',
      now: options.now,
      presentKinds: [...index.keys()],
      assumeInstallation: options.assumeInstallation ?? false,
      workloadsKnown: options.workloadsKnown ?? true,
      all: <Spec>(kind: string) => {
        const shown = analyzer.seesMalformed ? (index.get(kind) ?? []) : wellFormed(kind);
        return shown as unknown as readonly Item<Spec>[];
      },
      issuesOf,
      report,
    };
    try {
      analyzer.analyze(view);
    } catch (error) {
      const first = items[0];
      if (first)
        report(
          'IST0001',
          first,
          `${analyzer.name} failed: ${messageOf(error)}; please report it with these files`,
        );
    }
  }
  return found
    .sort(
      (a, b) =>
        a.at - b.at || compare(a.message.code, b.message.code) || compare(a.message.path, b.message.path),
    )
    .map(({ message }) => message);
}

function createMessage(
  analyzer: Analyzer,
  code: MessageCode,
  item: Item<unknown>,
  message: string,
  path: string,
): Message {
  const [name, severity] = messageCodes[code];
  const position = item.positions?.at(path);
  return {
    code,
    name,
    severity,
    resource: displayName(item),
    path,
    message,
    analyzer: analyzer.name,
    ...(position ? { position } : {}),
  };
}

function isObject(object: ConfigObject): boolean {
  return (
    typeof object?.kind === 'string' &&
    typeof object.apiVersion === 'string' &&
    typeof object.metadata?.name === 'string'
  );
}

function toItem(source: SourceObject): Item {
  const object = withoutNulls(source.object) as ConfigObject;
  const { kind, metadata, spec } = object;
  return {
    ...source,
    object,
    kind,
    name: metadata.name,
    namespace: metadata.namespace || 'default',
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    spec: (spec ?? {}) as Readonly<Record<string, unknown>>,
  };
}

function indexItems(items: readonly Item[]): ReadonlyMap<string, readonly Item[]> {
  const index = new Map<string, Item[]>();
  for (const item of items) {
    const key = kindKey(item.object);
    const same = index.get(key);
    if (same) same.push(item);
    else index.set(key, [item]);
  }
  return index;
}

/** Kinds whose schema does not say what is in them, or that have none. */
const openKinds: ReadonlySet<string> = new Set([
  kinds.pod,
  kinds.deployment,
  kinds.mutatingWebhook,
  kinds.validatingWebhook,
]);

/** Analyzers read fields by their types; what has others is told by the schema alone. */
function isMalformed(item: Item<unknown>, issues: readonly Issue[]): boolean {
  if (openKinds.has(kindKey(item.object)) && !hasSoundShape(item.object)) return true;
  return issues.some(({ code }) => code === 'FieldValueTypeInvalid');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
