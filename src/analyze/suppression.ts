import type { Item } from './analyzer.ts';
import type { MessageCode } from './message-codes.ts';

/** Takes back the messages of a code about some objects. */
export interface Suppression {
  readonly code: string;
  /** `Kind name.namespace` (as istioctl has it) or `Kind namespace/name`; `*` stands for anything. */
  readonly resource: string;
}

const annotation = 'galley.istio.io/analyze-suppress';

/** `CODE=RESOURCE`; undefined for anything else. */
export function parseSuppression(text: string): Suppression | undefined {
  const parts = /^((?:IST|OST)\d{4}|\*)=(.+)$/.exec(text.trim());
  return parts ? { code: parts[1] ?? '', resource: parts[2] ?? '' } : undefined;
}

export function isSuppressed(
  item: Item<unknown>,
  code: MessageCode,
  suppressions: readonly Suppression[],
): boolean {
  const own = (item.annotations[annotation] ?? '').split(',').map((part) => part.trim());
  if (own.includes('*') || own.includes(code)) return true;
  const { kind, name, object } = item;
  const { namespace } = object.metadata;
  const names = [
    `${kind} ${name}.${item.namespace}`,
    `${kind} ${item.namespace}/${name}`,
    ...(namespace ? [] : [`${kind} ${name}`]),
  ];
  return suppressions.some(
    (suppression) =>
      (suppression.code === '*' || suppression.code === code) &&
      names.some((text) => matchesPattern(suppression.resource, text)),
  );
}

function matchesPattern(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(text);
}
