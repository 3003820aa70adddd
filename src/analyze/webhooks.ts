import { type LabelRequirement, type LabelSelector, selectsLabels } from '../kit/labels.ts';
import type { AnalysisView, Item } from './analyzer.ts';

export interface Webhook {
  readonly name?: string;
  readonly clientConfig?: {
    readonly url?: string;
    readonly service?: { readonly name?: string; readonly namespace?: string };
  };
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
}

export interface WrittenWebhook {
  readonly item: Item<unknown>;
  readonly webhook: Webhook;
  readonly path: string;
}

/** The webhooks of all configurations of a kind. */
export function webhooksOf(view: AnalysisView, kind: string): WrittenWebhook[] {
  return view.all(kind).flatMap((item) => {
    const webhooks = (item.object.webhooks ?? []) as readonly Webhook[];
    return webhooks.map((webhook, index) => ({ item, webhook, path: `webhooks[${index}]` }));
  });
}

export function isInjector({ webhook }: WrittenWebhook): boolean {
  return webhook.name?.endsWith('sidecar-injector.istio.io') ?? false;
}

/** Whether some labels are selected by both. Requirements of different keys never get in each other's way. */
export function selectorsOverlap(a: LabelSelector = {}, b: LabelSelector = {}): boolean {
  const byKey = Map.groupBy([...requirements(a), ...requirements(b)], ({ key }) => key);
  return [...byKey.values()].every(canHold);
}

function requirements({ matchLabels = {}, matchExpressions = [] }: LabelSelector): LabelRequirement[] {
  const exact = Object.entries(matchLabels).map(([key, value]) => ({ key, operator: 'In', values: [value] }));
  return [...exact, ...matchExpressions];
}

/** Tries every value that is named, one that is not, and no value at all. */
function canHold(list: readonly LabelRequirement[]): boolean {
  const key = list[0]?.key ?? '';
  const named = list.flatMap(({ values = [] }) => values);
  const other = `${named.join('')}-other`;
  return [undefined, other, ...named].some((value) =>
    selectsLabels({ matchExpressions: list }, value === undefined ? {} : { [key]: value }),
  );
}
