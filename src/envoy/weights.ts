const maxSum = 0xffffffff;

/** Envoy refuses weights whose sum does not fit 32 bits: larger ones are scaled down, none of them to nothing. */
export function fittingWeights<T extends { readonly weight: number }>(items: readonly T[]): readonly T[] {
  const sum = items.reduce((total, { weight }) => total + weight, 0);
  if (sum <= maxSum) return items;
  const scale = (maxSum - items.length) / sum;
  return items.map((item) =>
    item.weight === 0 ? item : { ...item, weight: Math.max(1, Math.floor(item.weight * scale)) },
  );
}
