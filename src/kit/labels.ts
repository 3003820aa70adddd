/** Whether the labels hold every pair of the selector: the empty one matches everything. */
export function holdsLabels(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false;
  return true;
}
