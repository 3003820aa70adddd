import type { Origin } from '../../../config/origin.ts';
import type { ParsedObject } from '../../../config/yaml-documents.ts';
import type { DeliveryReport, Laggard, Refusal } from '../../../control-plane/delivery/delivery-report.ts';
import { proxyName } from '../../proxy/proxy-name.ts';
import { formatProblem } from '../apply-objects.ts';
import type { DeliveryState } from './follow-delivery.ts';

/** Proxies named in one line; more are counted. */
const named = 5;

export function listNames(ids: readonly string[]): string {
  const names = ids.map(proxyName);
  const more = names.length > named ? ` and ${names.length - named} more` : '';
  return `${names.slice(0, named).join(', ')}${more}`;
}

export function countProxies(count: number): string {
  return count === 1 ? '1 proxy' : `${count} proxies`;
}

export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

const reasons: Readonly<Record<Laggard['reason'], string>> = {
  unanswered: 'sent and not answered',
  unread: 'its connection takes nothing more',
  'waits for clusters': 'held back until the clusters that it uses are ready',
  unsent: 'not sent yet',
};

/** `reviews-v1-0.default  Listener: sent and not answered for 3.1 s; it acknowledged one 12 s ago`. */
export function describeLaggard({ proxy, type, reason, waitedMs, acknowledgedMs }: Laggard): string {
  const last =
    acknowledgedMs === undefined
      ? 'it has never acknowledged one'
      : `it acknowledged one ${formatSeconds(acknowledgedMs)} ago`;
  return `${proxyName(proxy)}  ${type}: ${reasons[reason]} for ${formatSeconds(waitedMs)}; ${last}`;
}

/** One line per proxy (and type) that is not there yet. */
export function describeMissing({ report, warming }: DeliveryState): string[] {
  return [
    ...report.laggards.map(describeLaggard),
    ...warming.warming.map(
      ({ proxy, listeners, clusters }) =>
        `${proxyName(proxy)}  acknowledged everything, and still warms ${[
          ...(listeners > 0 ? [listeners === 1 ? '1 listener' : `${listeners} listeners`] : []),
          ...(clusters > 0 ? [clusters === 1 ? '1 cluster' : `${clusters} clusters`] : []),
        ].join(' and ')}`,
    ),
  ];
}

/** One short line while it is waited. */
export function describeProgress(state: DeliveryState): string {
  const { report } = state;
  if (!report.compiled) return 'the control plane has not compiled it yet';
  const missing = describeMissing(state);
  const first = missing[0] === undefined ? '' : `; ${missing[0]}${missing.length > 1 ? ', …' : ''}`;
  return `${report.acknowledged} of ${countProxies(report.concerned)}${first}`;
}

/** Whether a refusal is about one of the objects: one whose cause is not known counts. */
export function concernsObjects(
  refusal: Refusal,
  objects: readonly ParsedObject[],
  namespace: string,
): boolean {
  if (refusal.origins.length === 0) return refusal.isNew;
  return refusal.origins.some((origin) => objects.some((one) => isOrigin(one, origin, namespace)));
}

function isOrigin({ object }: ParsedObject, origin: Origin, namespace: string): boolean {
  const [kind] = origin.kind.split('.');
  const { metadata } = object;
  return (
    object.kind === kind &&
    metadata.name === origin.name &&
    (origin.namespace === '' || (metadata.namespace || namespace) === origin.namespace)
  );
}

/** Envoy's words at the place of each object that caused them. */
export function describeRefusal(
  refusal: Refusal,
  objects: readonly ParsedObject[],
  namespace: string,
): string[] {
  const what = `${refusal.type} ${refusal.resources.slice(0, 3).join(', ')}${refusal.resources.length > 3 ? ', …' : ''}`;
  const then = refusal.stands
    ? 'what was refused is not in force there'
    : 'it has taken something else in its place since (ostria get … -o yaml tells in the status)';
  const words = `${listNames(refusal.proxies)} refused ${what}: ${refusal.message}`;
  const places = refusal.origins.flatMap((origin) => {
    const found = objects.find((one) => isOrigin(one, origin, namespace));
    if (!found) return [];
    const message = `${found.object.kind} ${found.object.metadata.name}: ${origin.path ? `${origin.path}: ` : ''}${words}; ${then}`;
    return [formatProblem({ ...positionOf(found, origin.path), code: '', message })];
  });
  return places.length > 0 ? [...new Set(places)] : [`${words}; ${then}`];
}

function positionOf({ positions }: ParsedObject, path: string) {
  return (
    (path === '' ? undefined : positions.at(path)) ??
    positions.at('metadata.name') ?? { file: positions.file, line: 1, column: 1 }
  );
}

/** Why a report that is done may still not mean that all is well. */
export function ownRefusals(
  report: DeliveryReport,
  objects: readonly ParsedObject[],
  namespace: string,
): readonly Refusal[] {
  return report.refusals.filter((refusal) => concernsObjects(refusal, objects, namespace));
}
