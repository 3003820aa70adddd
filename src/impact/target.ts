/** A host and port that requests go to, which a change may concern. */
export interface Target {
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls';
  readonly host: string;
  readonly port: number;
}

export function targetUrl({ scheme, host, port }: Target): string {
  const usual = scheme === 'http' ? 80 : scheme === 'https' ? 443 : undefined;
  const name = host.includes(':') ? `[${host}]` : host;
  return port === usual ? `${scheme}://${name}` : `${scheme}://${name}:${port}`;
}

/** Stands for every host that nobody has heard of. */
export const unknownHost = 'unknown.example';

/** Stands for every port that a proxy takes alike, whatever the address. */
export const anyPort = 12_345;

/** Stands for every port of a workload that no service names. */
export const unservedPort = 65_000;

/** Requests and connections to a host, by each of the ports. */
export function everyPort(host: string, ports: Iterable<number>): Target[] {
  return [...new Set(ports)].flatMap((port) =>
    (['http', 'tcp'] as const).map((scheme) => ({ scheme, host, port })),
  );
}

/** Names that a client would write: without ports, and one for each pattern. */
export function hostNames(domains: readonly string[]): string[] {
  return [...new Set(domains.map(hostName))];
}

export function hostName(domain: string): string {
  const name = domain.startsWith('[')
    ? domain.slice(1).replace(/\](:\d+)?$/, '')
    : domain.replace(/:(\d+|\*)$/, '');
  if (name === '*') return unknownHost;
  if (name.startsWith('*')) return `x${name.slice(1)}`;
  return name.endsWith('*') ? `${name.slice(0, -1)}x` : name;
}
