const units: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  ns: 1e-6,
};

/**
 * Milliseconds of a duration as Istio's API writes it: Go's form (`1h30m`, `500ms`, `2.5s`), of which protobuf's JSON form (`10s`) is
 * a part. undefined for anything else: admission has said so already.
 */
export function parseDuration(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (text === '0') return 0;
  let total = 0;
  let at = 0;
  for (const match of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|ns|m|s)/gy)) {
    total += Number(match[1]) * (units[match[2] ?? ''] ?? 0);
    at = match.index + match[0].length;
  }
  return at === text.length ? total : undefined;
}
