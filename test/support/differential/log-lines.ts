import type { Logged } from './compare.ts';

const fieldNames = [
  ...['number', 'localPort', 'remotePort', 'status', 'route', 'cluster', 'upstream', 'upstreamLocalPort'],
  ...['details', 'end', 'origin', 'authority'],
] as const;

const operators: Readonly<Record<(typeof fieldNames)[number], string>> = {
  number: '%REQ(X-NUMBER)%',
  localPort: '%DOWNSTREAM_LOCAL_PORT%',
  remotePort: '%DOWNSTREAM_REMOTE_PORT%',
  status: '%RESPONSE_CODE%',
  route: '%ROUTE_NAME%',
  cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream: '%UPSTREAM_HOST%',
  upstreamLocalPort: '%UPSTREAM_LOCAL_PORT%',
  details: '%RESPONSE_CODE_DETAILS%',
  end: '%CONNECTION_TERMINATION_DETAILS%',
  origin: '%METADATA(ROUTE:ostria:origin)%',
  authority: '%REQ(:AUTHORITY)%',
};

/** Found by `logKey`; most of the rest are the fields of `Logged`. */
export const logFormat = fieldNames.map((name) => operators[name]).join('\t');

type Line = Readonly<Record<(typeof fieldNames)[number], string>>;

function lineOf(fields: readonly string[]): Line {
  return Object.fromEntries(
    fieldNames.map((name, index) => {
      const text = fields[index] ?? '';
      return [name, text === '-' ? '' : text];
    }),
  ) as Line;
}

/** Requests by their number, connections by the client's port; and by the proxy's port where they came in. */
export function logKey(fields: readonly string[]): string {
  const { number, remotePort, localPort } = lineOf(fields);
  return number === '' ? connectionKey(remotePort, localPort) : requestKey(number, localPort);
}

export const requestKey = (number: number | string, localPort: number | string): string =>
  `${number} ${localPort}`;

export const connectionKey = (remotePort: number | string, localPort: number | string): string =>
  `from ${remotePort} ${localPort}`;

/** Mirrored requests have the number of what they mirror. */
export const isMirrored = (fields: readonly string[]): boolean =>
  /-shadow(:\d+)?$/.test(lineOf(fields).authority);

export function logged(fields: readonly string[] | undefined): Logged | undefined {
  if (!fields) return undefined;
  const { status, route, cluster, upstream, upstreamLocalPort, details, end, origin } = lineOf(fields);
  return {
    status,
    route,
    cluster,
    upstream,
    upstreamLocalPort,
    details: details === '' ? end : details,
    origin,
  };
}
