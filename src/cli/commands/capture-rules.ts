import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { parseCidr, parseIp } from '../../kit/ip.ts';
import { type CaptureOptions, captureRules } from '../capture/capture-rules.ts';

interface Flags {
  readonly ipFamilies: string;
  readonly proxyGroup: string;
  readonly outboundPort: string;
  readonly inboundPort: string;
  readonly dnsPort?: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly includeOutboundRanges: string;
  readonly excludeOutboundRanges: string;
}

export function registerCaptureRules(program: Command): void {
  program
    .command('capture-rules')
    .summary('print the nftables rules that lead a network namespace through its proxy')
    .description(
      'Prints rules for nft: TCP connections that the namespace opens go to the proxy’s port 15001, those that come for it to 15006, but for what the proxy sends itself (by its group), loopback, SSH and the agent’s ports. Changes nothing by itself; applied again, the rules replace what an earlier run made.',
    )
    .option('--ip-families <families>', 'IPv4, IPv6 or both, separated by commas', 'IPv4,IPv6')
    .option('--proxy-group <gid>', 'the group that Envoy and the agent run as', '1337')
    .option('--outbound-port <port>', 'MeshConfig’s proxyListenPort', '15001')
    .option('--inbound-port <port>', 'MeshConfig’s proxyInboundListenPort', '15006')
    .option('--dns-port <port>', 'lead DNS queries to the agent there (15053, where it answers them)')
    .option('--include-inbound-ports <ports>', 'capture these only; * for all', '*')
    .option('--exclude-inbound-ports <ports>', 'leave these alone, health checks of others for instance', '')
    .option('--include-outbound-ports <ports>', 'capture these whatever their address', '')
    .option('--exclude-outbound-ports <ports>', 'leave these alone', '')
    .option('--include-outbound-ranges <cidrs>', 'capture these addresses only; * for all', '*')
    .option('--exclude-outbound-ranges <cidrs>', 'leave these addresses alone', '')
    .addHelpText(
      'after',
      `
Examples:
  ostria capture-rules | ip netns exec web nft -f -
  ostria capture-rules --dns-port 15053 | ip netns exec web nft -f -
  ostria capture-rules --exclude-outbound-ports 3306,5432 --exclude-outbound-ranges 169.254.0.0/16
  ostria capture-rules --include-inbound-ports 8080 --include-outbound-ranges 10.0.0.0/8
  ip netns exec web nft delete table ip ostria_capture      # takes them away (and table ip6)`,
    )
    .action((flags: Flags) => void process.stdout.write(captureRules(optionsOf(flags))));
}

function optionsOf(flags: Flags): CaptureOptions {
  const families = split(flags.ipFamilies);
  if (families.length === 0 || families.some((family) => family !== 'IPv4' && family !== 'IPv6'))
    throw invalid('--ip-families', flags.ipFamilies, 'IPv4, IPv6 or IPv4,IPv6');
  return {
    families: families as ('IPv4' | 'IPv6')[],
    proxyGroup: number('--proxy-group', flags.proxyGroup, 2 ** 32 - 2),
    outboundPort: number('--outbound-port', flags.outboundPort),
    inboundPort: number('--inbound-port', flags.inboundPort),
    ...(flags.dnsPort === undefined ? {} : { dnsPort: number('--dns-port', flags.dnsPort) }),
    includeInboundPorts:
      flags.includeInboundPorts === '*' ? '*' : ports('--include-inbound-ports', flags.includeInboundPorts),
    excludeInboundPorts: ports('--exclude-inbound-ports', flags.excludeInboundPorts),
    includeOutboundPorts: ports('--include-outbound-ports', flags.includeOutboundPorts),
    excludeOutboundPorts: ports('--exclude-outbound-ports', flags.excludeOutboundPorts),
    includeOutboundRanges:
      flags.includeOutboundRanges === '*'
        ? '*'
        : ranges('--include-outbound-ranges', flags.includeOutboundRanges),
    excludeOutboundRanges: ranges('--exclude-outbound-ranges', flags.excludeOutboundRanges),
  };
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function number(flag: string, text: string, most = 65_535): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw invalid(flag, text, `a number from 1 to ${most}`);
  return value;
}

function ports(flag: string, text: string): number[] {
  return split(text).map((one) => number(flag, one));
}

/** Addresses and CIDRs. They go into a program for nft: nothing else passes. */
function ranges(flag: string, text: string): string[] {
  return split(text).map((range) => {
    if (!parseCidr(range) && !parseIp(range))
      throw invalid(flag, range, 'an address or a CIDR such as 10.0.0.0/8');
    return range;
  });
}

function invalid(flag: string, text: string, wanted: string): CodedError {
  return new CodedError('OptionInvalid', `${flag} ${JSON.stringify(text)} must be ${wanted}`);
}
