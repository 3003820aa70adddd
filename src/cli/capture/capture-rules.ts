import { isIP } from 'node:net';

/** What is led through the proxy of a network namespace. Ports 1 to 65535; `*` for all. */
export interface CaptureOptions {
  /** Default both. */
  readonly families?: readonly ('IPv4' | 'IPv6')[];
  /** The group that the proxy runs as: what it sends itself passes. Default 1337, as Istio's. */
  readonly proxyGroup?: number;
  /** Where the proxy takes what the workload sends. Default 15001 (MeshConfig `proxyListenPort`). */
  readonly outboundPort?: number;
  /** Where it takes what comes for the workload. Default 15006 (MeshConfig `proxyInboundListenPort`). */
  readonly inboundPort?: number;
  /** Where the agent answers DNS: queries of the workload, by UDP and TCP to any server, are led there. Default: they pass. */
  readonly dnsPort?: number;
  readonly includeInboundPorts?: '*' | readonly number[];
  readonly excludeInboundPorts?: readonly number[];
  /** Captured whatever their address, beyond `includeOutboundRanges`. Default none. */
  readonly includeOutboundPorts?: readonly number[];
  readonly excludeOutboundPorts?: readonly number[];
  readonly includeOutboundRanges?: '*' | readonly string[];
  readonly excludeOutboundRanges?: readonly string[];
}

export const captureTable = 'ostria_capture';
/** The agent's and the proxy's own, which are asked for by name: probes, metrics, HBONE; and SSH, so that nobody locks himself out. */
const ownPorts = [22, 15_008, 15_020, 15_021, 15_090];

/**
 * nftables rules that lead the TCP connections of a network namespace through its proxy, for `nft -f -`. They replace what an earlier run
 * made; `nft delete table ip ostria_capture` takes them away. Datagrams are left alone, but for DNS where it is asked for.
 */
export function captureRules(options: CaptureOptions = {}): string {
  const { families = ['IPv4', 'IPv6'] } = options;
  return families.map((family) => tableOf(family === 'IPv4' ? 'ip' : 'ip6', options)).join('');
}

function tableOf(family: 'ip' | 'ip6', options: CaptureOptions): string {
  const lines = (rules: readonly string[]): string => rules.map((rule) => `    ${rule}\n`).join('');
  // To add and then delete is the way to delete what may not be there.
  return `table ${family} ${captureTable}
delete table ${family} ${captureTable}
table ${family} ${captureTable} {
  chain output {
    type nat hook output priority -100;
${lines(outboundRules(family, options))}  }
  chain prerouting {
    type nat hook prerouting priority -100;
${lines(inboundRules(options))}  }
}
`;
}

function outboundRules(family: 'ip' | 'ip6', options: CaptureOptions): string[] {
  const {
    proxyGroup = 1337,
    outboundPort = 15_001,
    inboundPort = 15_006,
    includeOutboundRanges = '*',
  } = options;
  const { includeOutboundPorts = [], excludeOutboundPorts = [], excludeOutboundRanges = [] } = options;
  const redirect = `redirect to :${outboundPort}`;
  const inFamily = (ranges: readonly string[]): string[] =>
    ranges.filter((range) => isIP(range.split('/')[0] ?? '') === (family === 'ip' ? 4 : 6));
  const addresses = (ranges: readonly string[], verdict: string): string[] =>
    forEach(inFamily(ranges), (set) => `${family} daddr ${set} ${verdict}`);
  return [
    // To the application the proxy speaks from this address; it is how the next rule tells that from a call to the own service.
    `oifname "lo" ${family} saddr ${family === 'ip' ? '127.0.0.6' : '::6'} return`,
    // A service that calls itself, or another of this namespace: its proxy is called as everybody's is.
    ...ownPortsOf(options).map(
      (ports) =>
        `meta skgid ${proxyGroup} oifname "lo" ${family} daddr != ${family === 'ip' ? '127.0.0.0/8' : '::1'} ${ports} redirect to :${inboundPort}`,
    ),
    `meta skgid ${proxyGroup} return`,
    // Before what goes over loopback: a resolver of the machine may listen there.
    ...(options.dnsPort === undefined
      ? []
      : ['udp', 'tcp'].map((protocol) => `${protocol} dport 53 redirect to :${options.dnsPort}`)),
    // Of the machine with itself: the application's own business.
    'oifname "lo" return',
    ...forEach(excludeOutboundPorts, (set) => `tcp dport ${set} return`),
    ...addresses(excludeOutboundRanges, 'return'),
    ...forEach(includeOutboundPorts, (set) => `tcp dport ${set} ${redirect}`),
    ...(includeOutboundRanges === '*'
      ? [`meta l4proto tcp ${redirect}`]
      : addresses(includeOutboundRanges, `meta l4proto tcp ${redirect}`)),
  ];
}

function inboundRules(options: CaptureOptions): string[] {
  const { inboundPort = 15_006, includeInboundPorts = '*' } = options;
  const redirect = `redirect to :${inboundPort}`;
  return [
    'iifname "lo" return',
    ...forEach(leftPorts(options), (set) => `tcp dport ${set} return`),
    ...(includeInboundPorts === '*'
      ? [`meta l4proto tcp ${redirect}`]
      : forEach(includeInboundPorts, (set) => `tcp dport ${set} ${redirect}`)),
  ];
}

/** The condition of the ports that the proxy takes what comes for; none where it takes nothing. */
function ownPortsOf(options: CaptureOptions): string[] {
  const { includeInboundPorts = '*' } = options;
  const left = leftPorts(options);
  if (includeInboundPorts === '*') return [`tcp dport != { ${left.join(', ')} }`];
  return forEach(
    includeInboundPorts.filter((port) => !left.includes(port)),
    (set) => `tcp dport ${set}`,
  );
}

/** Never led to the proxy's inbound port. */
function leftPorts({
  outboundPort = 15_001,
  inboundPort = 15_006,
  excludeInboundPorts = [],
}: CaptureOptions) {
  return [...new Set([outboundPort, inboundPort, ...ownPorts, ...excludeInboundPorts])];
}

/** One rule for all of a list; none for none. */
function forEach(values: readonly (number | string)[], rule: (set: string) => string): string[] {
  return values.length > 0 ? [rule(`{ ${values.join(', ')} }`)] : [];
}
