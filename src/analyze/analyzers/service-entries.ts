import { parseProtocol } from '../../registry/protocol.ts';
import type { ServiceEntry } from '../../registry/schema.ts';
import { wantsVirtualIps } from '../../registry/virtual-ips.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { ServiceEntrySpec } from '../mesh-hosts.ts';

/** Protocols whose bytes name no host: what is called is known by its address alone. */
const byAddress: ReadonlySet<string> = new Set([
  'TCP',
  'Mongo',
  'Redis',
  'MySQL',
  'Postgres',
  'Kafka',
  'Unsupported',
]);

/** IST0134: TCP hosts without an address, which would take all traffic to their port. */
export const serviceEntryAnalyzer: Analyzer = {
  name: 'serviceentry.Analyzer',
  perObject: true,
  inputs: [kinds.serviceEntry],
  analyze: (view) => {
    for (const entry of view.all<ServiceEntrySpec>(kinds.serviceEntry)) {
      const { addresses = [], ports = [] } = entry.spec;
      if (addresses.length > 0 || wantsVirtualIps(entry.object as ServiceEntry)) continue;
      for (const [index, { number, protocol }] of ports.entries()) {
        if (!byAddress.has(parseProtocol(protocol ?? 'TCP'))) continue;
        const message = `has no address, so port ${number} matches every address that is called at it; set spec.addresses, or a resolution so that it gets one`;
        view.report('IST0134', entry, message, `spec.ports[${index}]`);
      }
    }
  },
};

interface Claim {
  readonly entry: Item<ServiceEntrySpec>;
  readonly protocol: string;
}

/** IST0177: one host and port with several protocols. */
export const serviceEntryProtocolAnalyzer: Analyzer = {
  name: 'serviceentry.ConflictingServiceEntryProtocolAnalyzer',
  inputs: [kinds.serviceEntry],
  analyze: (view) => {
    const claims = new Map<string, Claim[]>();
    for (const entry of view.all<ServiceEntrySpec>(kinds.serviceEntry))
      for (const host of entry.spec.hosts ?? [])
        for (const { number, protocol = 'TCP' } of entry.spec.ports ?? []) {
          const key = `port ${number} of ${host}`;
          claims.set(key, [...(claims.get(key) ?? []), { entry, protocol: protocol.toUpperCase() }]);
        }
    for (const [key, list] of claims) {
      const protocols = [...new Set(list.map(({ protocol }) => protocol))].sort();
      if (protocols.length < 2) continue;
      const entries = [...new Set(list.map(({ entry }) => entry))];
      const names = entries.map(({ namespace, name }) => `${namespace}/${name}`).sort();
      for (const entry of entries) {
        const message = `${key} is ${protocols.join(' and ')} by turns (${names.join(', ')}); give it one protocol`;
        view.report('IST0177', entry, message, 'spec.ports');
      }
    }
  },
};
