/** Fields that analyzers read as lists, in kinds whose schema leaves them open (pods, webhooks). */
const lists: ReadonlySet<string> = new Set([
  'containers',
  'initContainers',
  'ports',
  'env',
  'webhooks',
  'matchExpressions',
  'values',
]);

/** A copy in which what is null is absent, as the API has it. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => item !== null).map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(kept.map(([name, item]) => [name, withoutNulls(item)]));
}

/** Whether lists of objects are just that, at any depth. */
export function hasSoundShape(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(hasSoundShape);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, item]) => {
    if (!lists.has(name)) return hasSoundShape(item);
    const objects = name !== 'values';
    return (
      Array.isArray(item) && item.every((one) => !objects || (typeof one === 'object' && hasSoundShape(one)))
    );
  });
}
